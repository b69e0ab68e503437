# Serves the fits of one script in R, as serve.py does those of one in Python: a request is a line
# on stdin, an answer is lines of NAME=NUMBERS, or a text, and a last line `end`.

arguments <- commandArgs(trailingOnly = TRUE)

say <- function(word, rest) {
  cat("\n", word, "\t", rest, "\n", sep = "")
  flush(stdout())
}

one_line <- function(text) gsub("[[:space:]]+", " ", trimws(paste(text, collapse = " ")))

# An option as JSON writes it.
value <- function(text) {
  if (text %in% c("true", "false")) return(text == "true")
  if (text == "null") return(NULL)
  if (startsWith(text, "\"")) return(substr(text, 2, nchar(text) - 1))
  as.numeric(text)
}

show <- function(found) {
  if (is.character(found)) return(one_line(found))
  if (is.matrix(found)) found <- t(found) # by rows
  paste(sprintf("%.17g", as.numeric(found)), collapse = ",")
}

write_answer <- function(out, found) {
  if (!is.null(found$draws)) {
    # The first index is the last to move: chains, draws, weights or means or sds, components.
    writeBin(as.numeric(aperm(found$draws)), paste0(out, ".draws"), size = 8, endian = "little")
    found$draws <- dim(found$draws)
  }
  found <- Filter(Negate(is.null), found)
  lines <- vapply(names(found), function(name) paste0(name, "=", show(found[[name]])), "")
  writeLines(c(lines, "end"), out)
}

ready <- tryCatch(
  {
    source(arguments[1])
    for (name in packages) {
      if (!requireNamespace(name, quietly = TRUE)) stop("the R package ", name, " is not installed")
      suppressPackageStartupMessages(library(name, character.only = TRUE))
    }
    versions <- vapply(packages, function(name) paste(name, packageVersion(name)), "")
    r <- paste0("R ", R.version$major, ".", R.version$minor)
    paste(c(versions, r), collapse = ", ")
  },
  error = function(problem) {
    say("absent", one_line(conditionMessage(problem)))
    quit(status = 0)
  }
)
options_of <- function(given) {
  parts <- strsplit(given, "=", fixed = TRUE)
  chosen <- lapply(parts, function(part) value(paste(part[-1], collapse = "=")))
  setNames(chosen, vapply(parts, `[`, "", 1))
}

say("ready", ready)

requests <- file("stdin", open = "r")
while (length(request <- readLines(requests, n = 1)) == 1) {
  part <- strsplit(request, "\t", fixed = TRUE)[[1]]
  x <- readBin(part[1], "double", n = file.size(part[1]) / 8, size = 8, endian = "little")
  set.seed(as.integer(part[4]))
  chosen <- options_of(part[-(1:6)])
  given <- c(list(x, as.integer(part[2]), part[3] == "1", as.integer(part[4])), chosen)
  begin <- Sys.time()
  found <- tryCatch(
    do.call(part[6], given, quote = TRUE),
    error = function(problem) list(error = one_line(conditionMessage(problem)))
  )
  seconds <- as.numeric(difftime(Sys.time(), begin, units = "secs"))
  write_answer(part[5], c(list(seconds = seconds), found))
  say("answered", part[5])
}
