# The same in R, for tests.
packages <- "stats"

moments <- function(x, k, equal_sds, seed, shift = 0, name = NULL, flag = FALSE) {
  cat("answered\t1\nno end of a line")
  sd <- sqrt(mean((x - mean(x))^2) / 2)
  list(
    weights = rep(1 / k, k), means = mean(x) + shift + sd * seq(1, -1, length.out = k),
    sds = rep(sd, k), loglik = runif(1), converged = flag, iterations = length(x),
    message = c("two", name), se = rbind(1:k, 10 * (1:k), 100 * (1:k))
  )
}

draws <- function(x, k, equal_sds, seed) {
  found <- array(0, c(2, 300, 3, 2))
  found[, , 1, ] <- 0.5
  found[, , 2, 1] <- 2 + 0.01 * rnorm(600)
  found[, , 2, 2] <- 0.01 * rnorm(600)
  found[, , 3, ] <- 1 + 0.01 * rnorm(1200)
  list(draws = found, divergences = 3)
}

raises <- function(x, k, equal_sds, seed) stop("no\nluck")

quits <- function(x, k, equal_sds, seed) quit(status = 3)
