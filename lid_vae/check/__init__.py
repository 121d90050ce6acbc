"""What a run's options may be: kinds by the defaults of conf/, calls by the signatures of parts, room by the memory."""
