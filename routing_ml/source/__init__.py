"""An ERP into a dataset."""
