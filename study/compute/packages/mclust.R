# mclust's own call, in one dimension: model V has a variance a component, E one for all.
packages <- "mclust"

fit <- function(x, k, equal_sds, seed, model = if (equal_sds) "E" else "V", prior = FALSE,
                tolerance = emControl()$tol[1]) {
  found <- Mclust(
    x,
    G = k, modelNames = model, prior = if (prior) priorControl(),
    control = emControl(tol = tolerance), verbose = FALSE
  )
  if (is.null(found)) stop("Mclust gave NULL: no fit for model ", model)
  list(
    weights = if (k == 1) 1 else found$parameters$pro, means = found$parameters$mean,
    sds = rep_len(sqrt(found$parameters$variance$sigmasq), k),
    loglik = if (!prior) found$loglik, converged = is.finite(found$loglik),
    stop = tolerance * (1 + abs(found$loglik))
  )
}
