# flexmix's driver for clustering by one normal variable; options are those of FLXcontrol.
packages <- "flexmix"

fit <- function(x, k, equal_sds, seed, ...) {
  if (equal_sds) stop("FLXMCnorm1 has a variance a component")
  answer(flexmix(x ~ 1, k = k, model = FLXMCnorm1(), control = list(...)))
}

# The best of several random starts, as its vignettes do.
several <- function(x, k, equal_sds, seed, nrep = 5, ...) {
  if (equal_sds) stop("FLXMCnorm1 has a variance a component")
  answer(stepFlexmix(
    x ~ 1, k = k, nrep = nrep, model = FLXMCnorm1(), control = list(...), verbose = FALSE
  ))
}

answer <- function(found) {
  rows <- as.matrix(parameters(found))
  loglik <- as.numeric(logLik(found))
  list(
    weights = prior(found), means = rows["mean", ], sds = rows["sd", ],
    loglik = loglik, converged = found@converged, iterations = found@iter,
    stop = found@control@tolerance * (0.1 + abs(loglik)),
    message = paste(found@k, "of the components")
  )
}
