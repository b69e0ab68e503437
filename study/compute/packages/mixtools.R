# normalmixEM as its page calls it; options are its own.
packages <- "mixtools"

fit <- function(x, k, equal_sds, seed, ...) {
  found <- normalmixEM(x, k = k, arbvar = !equal_sds, ...)
  settings <- modifyList(as.list(formals(normalmixEM)), list(...))
  iterations <- length(found$all.loglik) - 1
  list(
    weights = found$lambda, means = found$mu, sds = rep_len(found$sigma, k) * sds_of(found),
    loglik = found$loglik, converged = iterations < settings$maxit, iterations = iterations,
    stop = settings$epsilon, message = paste(found$restarts, "restarts")
  )
}

# With a common sd there is one number; without arbmean there is a scale a component.
sds_of <- function(found) if (is.null(found$scale)) 1 else found$scale
