# normalmixEM of mixtools: five parameters from a given start. Its epsilon is an absolute gain of
# the log-likelihood. With a variance a component an iteration takes two passes over the data
# (its ECM branch): weights and means from the first, the sds from the second.

source("timed.R")
require_package("mixtools")

fit <- function(x) {
  found <- normalmixEM(
    x,
    lambda = numbers("weights"), mu = numbers("means"), sigma = numbers("sds"),
    epsilon = as.numeric(task$min_gain), maxit = 1e6, arbvar = TRUE, verb = FALSE
  )
  iterations <- length(found$all.loglik) - 1
  list(
    weights = found$lambda, means = found$mu, sds = found$sigma,
    iterations = iterations, passes = 1 + 2 * iterations
  )
}

serve(identity, fit)
