"""What can be said of an estimate: certificates, standard errors, intervals, bootstraps, chains."""
