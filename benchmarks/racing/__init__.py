"""What `benchmarks/races.py` races with: an Airflow whose runs ask at once, those who answer, and
what is looked at afterwards.
"""
