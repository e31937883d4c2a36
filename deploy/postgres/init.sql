-- Runs once, while the volume is empty: a database and its owner for Airflow, and for the store.
\getenv airflow_password AIRFLOW_DB_PASSWORD
\getenv store_password STORE_DB_PASSWORD

CREATE ROLE airflow LOGIN PASSWORD :'airflow_password';
CREATE ROLE store LOGIN PASSWORD :'store_password';
CREATE DATABASE airflow OWNER airflow;
CREATE DATABASE store OWNER store;
REVOKE ALL ON DATABASE airflow, store FROM PUBLIC;
