"""Features of records from a frozen encoder: which encoder, how they are extracted, and how they are kept."""
