"""Reports: an ECG as a clinical page, and result rows as one self-contained HTML page."""
