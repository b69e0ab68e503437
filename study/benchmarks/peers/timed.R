# What the fits in R share: the task from the command line, and one fit for each line on stdin.
# Answers are lines of name=value on stdout; all else that a package prints is passed over.

arguments <- strsplit(commandArgs(trailingOnly = TRUE), "=", fixed = TRUE)
task <- setNames(lapply(arguments, `[`, 2), vapply(arguments, `[`, "", 1))
numbers <- function(name) as.numeric(strsplit(task[[name]], ",", fixed = TRUE)[[1]])

answer <- function(kind, values) {
  text <- vapply(values, function(v) paste(format(v, digits = 17, trim = TRUE), collapse = ","), "")
  cat(kind, paste0(names(values), "=", text), "\n")
  flush(stdout())
}

require_package <- function(name) {
  if (!requireNamespace(name, quietly = TRUE)) {
    cat("absent the R package", name, "is not installed\n")
    quit(status = 0)
  }
  suppressPackageStartupMessages(library(name, character.only = TRUE))
  assign("package", name, envir = globalenv())
}

# prepare(x): what a fit takes of a sample, made outside the clock. fit(prepared): a list of
# weights, means, sds and iterations.
serve <- function(prepare, fit) {
  size <- as.numeric(task$n)
  x <- readBin(task$data, "double", n = size, size = 8, endian = "little")
  fit(prepare(x[seq_len(min(size, 1000))]))
  prepared <- prepare(x)
  answer("ready", list(
    version = paste0(packageVersion(package)),
    r = paste(R.version$major, R.version$minor, sep = ".")
  ))
  requests <- file("stdin", open = "r")
  while (length(readLines(requests, n = 1)) == 1) {
    invisible(gc())
    begin <- Sys.time()
    found <- fit(prepared)
    seconds <- as.numeric(difftime(Sys.time(), begin, units = "secs"))
    answer("answer", c(list(seconds = seconds), found))
  }
}
