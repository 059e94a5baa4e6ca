"""Who proposes recipes."""
