# R's side of the benchmark: Rscript benchmark.R TASK PACKAGE FILE ROWS COLUMN[,COLUMN...]
# FILE holds the columns one after another as doubles. Prints the seconds as JSON.
args <- commandArgs(trailingOnly = TRUE)
task <- args[1]; package <- args[2]; rows <- as.integer(args[4])
names <- strsplit(args[5], ",")[[1]]
d <- as.data.frame(matrix(readBin(args[3], "double", rows * length(names)), nrow = rows))
colnames(d) <- names
suppressMessages({library(survival); invisible(requireNamespace(package, quietly = TRUE))})
x <- grep("^x[0-9]+$", names, value = TRUE)
right <- function(...) as.formula(paste(..., paste(x, collapse = " + ")))
if ("cause" %in% names) {
  d$event <- as.integer(d$cause == 1)
  d$state <- factor(d$cause, 0:2, c("censored", "event", "death"))
  d$id <- seq_len(rows)
} else if (task %in% c("state_occupation", "time_in_state")) {
  d$next_state <- factor(ifelse(d$to == d$state, "censored", d$to), c("censored", 0:5))
  d$now <- factor(d$state, 0:5)
} else if (task == "mmrm") {
  d$arm <- factor(d$arm); d$number <- d$visit; d$visit <- factor(d$visit); d$subject <- factor(d$subject)
}
if (task == "turnbull") d$upper[is.infinite(d$upper)] <- NA
mmrm_by <- function() {
  fixed <- y ~ arm * visit + baseline + x1
  switch(package,
    mmrm = mmrm::mmrm(update(fixed, . ~ . + us(visit | subject)), d),
    nlme = nlme::gls(fixed, d, nlme::corSymm(form = ~ number | subject), nlme::varIdent(form = ~ 1 | visit)),
    # the residual variance is fixed near zero, so that the random part is the unstructured covariance itself
    glmmTMB = glmmTMB::glmmTMB(update(fixed, . ~ . + us(visit + 0 | subject)), d, dispformula = ~ 0, REML = TRUE)
  )
}
fit <- if (task == "proportional_hazards_test") coxph(right("Surv(time, event) ~"), d) else NULL
work <- switch(task,
  kaplan_meier = function() survfit(Surv(time, event) ~ group, d, conf.type = "log-log"),
  log_rank = function() survdiff(Surv(time, event) ~ group, d),
  restricted_mean = function() print(survfit(Surv(time, event) ~ group, d), rmean = 730),
  cox = function() coxph(right("Surv(time, event) ~"), d),
  cox_weighted = function() coxph(right("Surv(time, event) ~"), d, weights = weight, robust = TRUE),
  aalen_johansen = function() survfit(Surv(time, state) ~ group, d),
  restricted_time_lost = function() summary(survfit(Surv(time, state) ~ group, d), rmean = 730)$table,
  fine_gray = function() {
    wide <- finegray(right("Surv(time, state) ~ id +"), d, etype = "event")
    coxph(right("Surv(fgstart, fgstop, fgstatus) ~"), wide, weights = fgwt, cluster = id)
  },
  gray_test = function() cmprsk::cuminc(d$time, d$cause, d$group),
  proportional_hazards_test = function() cox.zph(fit),
  state_occupation = function() survfit(Surv(start, stop, next_state) ~ group, d, id = subject, istate = now),
  time_in_state = function()
    summary(survfit(Surv(start, stop, next_state) ~ group, d, id = subject, istate = now), rmean = 730)$table,
  parametric = function() survreg(right("Surv(time, event) ~"), d),
  turnbull = function() survfit(Surv(lower, upper, type = "interval2") ~ 1, d),
  mmrm = mmrm_by,
  propensity = function() nnet::multinom(right("factor(arm) ~"), d, trace = FALSE, maxit = 1000)
)
invisible(gc())
seconds <- as.numeric(system.time(capture.output(answer <- work()))["elapsed"])
gradient <- "null"
if (task == "propensity") {
  residual <- fitted(answer) - outer(d$arm, 0:4, "==")
  gradient <- format(max(abs(crossprod(cbind(1, as.matrix(d[x])), residual))) / rows, digits = 6)
}
cat(sprintf('{"seconds": %s, "gradient": %s}\n', format(seconds, digits = 10), gradient))
