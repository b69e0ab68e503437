# norMixEM of nor1mix: EM from clara's clusters, as its page calls it; options are its own.
packages <- "nor1mix"

fit <- function(x, k, equal_sds, seed, ...) {
  if (equal_sds) stop("norMixEM has an sd a component")
  found <- norMixEM(x, m = k, trace = 0, ...)
  log_density <- dnorMix(x, found, log = TRUE)
  list(
    weights = found[, "w"], means = found[, "mu"], sds = found[, "sigma"],
    loglik = sum(log_density)
  )
}
