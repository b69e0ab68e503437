# em() of mclust for model V (a variance a component) from a given start, without its hierarchical
# clustering. It stops at a change of the log-likelihood l below tol (1 + |l|), so that the
# absolute gain is divided by that at the maximum.

source("timed.R")
require_package("mclust")

tolerance <- as.numeric(task$min_gain) / (1 + abs(as.numeric(task$loglik)))
start <- list(
  pro = numbers("weights"), mean = numbers("means"),
  variance = list(
    modelName = "V", d = 1, G = length(numbers("sds")), sigmasq = numbers("sds")^2
  )
)

fit <- function(x) {
  found <- em(
    x,
    modelName = "V", parameters = start, control = emControl(tol = tolerance), warn = FALSE
  )
  iterations <- attr(found, "info")[["iterations"]]
  list(
    weights = found$parameters$pro, means = found$parameters$mean,
    sds = sqrt(found$parameters$variance$sigmasq), iterations = iterations, passes = 1 + iterations
  )
}

serve(identity, fit)
