"""Reports of result rows: tables, pictures and the HTML page."""
