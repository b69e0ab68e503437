# EM for the weights of two known components, as a dplyr pipeline: the densities are columns of
# the sample, each step adds columns, and a table keeps the progress.

source("timed.R")
require_package("dplyr")

means <- numbers("means")
sds <- numbers("sds")
start <- numbers("weights")[1]
gain <- as.numeric(task$min_gain)

with_densities <- function(x) {
  tibble(x = x) |>
    mutate(density_1 = dnorm(x, means[1], sds[1]), density_2 = dnorm(x, means[2], sds[2]))
}

e_step <- function(sample, weight) {
  sample |>
    mutate(
      joint_1 = weight * density_1,
      joint_2 = (1 - weight) * density_2,
      density = joint_1 + joint_2,
      share_1 = joint_1 / density
    )
}

fit <- function(sample) {
  weight <- start
  sample <- e_step(sample, weight)
  loglik <- summarize(sample, loglik = sum(log(density)))$loglik
  progress <- tibble(iteration = 0, weight = weight, loglik = loglik, gain = NA_real_)
  repeat {
    weight <- summarize(sample, weight = mean(share_1))$weight
    sample <- e_step(sample, weight)
    before <- loglik
    loglik <- summarize(sample, loglik = sum(log(density)))$loglik
    progress <- progress |>
      add_row(iteration = nrow(progress), weight = weight, loglik = loglik, gain = loglik - before)
    if (loglik - before < gain) break
  }
  list(
    weights = c(weight, 1 - weight), means = means, sds = sds,
    iterations = nrow(progress) - 1, passes = nrow(progress)
  )
}

serve(with_densities, fit)
