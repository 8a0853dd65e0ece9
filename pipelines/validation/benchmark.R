# R's side of the benchmark: Rscript benchmark.R TASK FILE ROWS REPEATS COLUMN[,COLUMN...]
# FILE holds the columns one after another as doubles. Prints the seconds of each repeat as JSON.
args <- commandArgs(trailingOnly = TRUE)
task <- args[1]; rows <- as.integer(args[3]); repeats <- as.integer(args[4])
names <- strsplit(args[5], ",")[[1]]
d <- as.data.frame(matrix(readBin(args[2], "double", rows * length(names)), nrow = rows))
colnames(d) <- names
suppressMessages(library(survival))
x <- grep("^x[0-9]+$", names, value = TRUE)
right <- function(...) as.formula(paste(..., paste(x, collapse = " + ")))
if ("cause" %in% names) {
  d$event <- as.integer(d$cause == 1)
  d$state <- factor(d$cause, 0:2, c("censored", "event", "death"))
  d$id <- seq_len(rows)
}
fit <- if (task == "proportional_hazards_test") coxph(right("Surv(time, event) ~"), d) else NULL
work <- switch(task,
  kaplan_meier = function() survfit(Surv(time, event) ~ group, d, conf.type = "log-log"),
  log_rank = function() survdiff(Surv(time, event) ~ group, d),
  restricted_mean = function() print(survfit(Surv(time, event) ~ group, d), rmean = 730),
  cox = function() coxph(right("Surv(time, event) ~"), d),
  cox_weighted = function() coxph(right("Surv(time, event) ~"), d, weights = weight, robust = TRUE),
  aalen_johansen = function() survfit(Surv(time, state) ~ group, d),
  fine_gray = function() {
    wide <- finegray(right("Surv(time, state) ~"), d, id = id, etype = "event")
    coxph(right("Surv(fgstart, fgstop, fgstatus) ~"), wide, weights = fgwt, cluster = id)
  },
  gray_test = function() cmprsk::cuminc(d$time, d$cause, d$group),
  proportional_hazards_test = function() cox.zph(fit),
  mmrm = {
    d$arm <- factor(d$arm); d$visit <- factor(d$visit); d$subject <- factor(d$subject)
    function() mmrm::mmrm(y ~ arm * visit + baseline * visit + x1 + x2 + us(visit | subject), d)
  },
  propensity = function() nnet::multinom(right("factor(arm) ~"), d, trace = FALSE, maxit = 1000)
)
seconds <- replicate(repeats, {
  invisible(gc())
  as.numeric(system.time(invisible(capture.output(work())))["elapsed"])
})
cat(sprintf('{"seconds": [%s]}\n', paste(seconds, collapse = ", ")))
