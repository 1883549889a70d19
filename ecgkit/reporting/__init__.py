"""Reports on result rows: tables, pictures and the HTML page."""
