"""The report of a run as one HTML file that needs no network, and live while the run goes on."""
