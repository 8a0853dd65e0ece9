# Every estimator on every case of edge_cases.csv and edge_stays.csv. Writes edge_cases.json: numbers by case and
# estimator, in the order in which tests/models/test_edge_cases.py lists its own; null where R has none.
# R 4.2.2, survival 3.5-3, cmprsk 2.2-11.
library(survival); library(jsonlite)
AT <- c(4, 8); TAU <- 10
tight <- coxph.control(eps = 1e-12, toler.chol = 1e-14, iter.max = 60)
estimators <- list(
  "Kaplan-Meier" = function(d) { s <- summary(survfit(Surv(time, event) ~ arm, d, weights = weight, robust = TRUE), times = AT, extend = TRUE)
    c(s$surv, s$std.err) },
  "restricted mean" = function(d) { # without weights: Greenwood's variance
    t <- summary(survfit(Surv(time, event) ~ arm, d, weights = weight), rmean = TAU)$table
    t <- if (is.matrix(t)) t else t(t); c(t[, "rmean"], if (all(d$weight == 1)) t[, "se(rmean)"]) },
  "log-rank" = function(d) survdiff(Surv(time, event) ~ arm, d)$chisq,
  "pairwise log-rank" = function(d) { p <- combn(sort(unique(d$arm)), 2)
    p.adjust(apply(p, 2, function(k) pchisq(survdiff(Surv(time, event) ~ arm, d[d$arm %in% k, ])$chisq, 1, lower.tail = FALSE)), "holm") },
  "Cox" = function(d) { f <- coxph(Surv(time, event) ~ arm + x, d, weights = weight, robust = TRUE, control = tight)
    c(coef(f), sqrt(diag(f$var)), sqrt(diag(f$naive.var))) },
  "proportional hazards" = function(d) cox.zph(coxph(Surv(time, event) ~ arm + x, d, weights = weight, control = tight), terms = FALSE)$table[, "chisq"],
  "Aalen-Johansen" = function(d) { s <- summary(survfit(Surv(time, state) ~ arm, d, weights = weight, id = id, conf.type = "none"), times = AT, extend = TRUE)
    c(s$pstate[, 2], s$pstate[, 3], s$std.err[, 2], s$std.err[, 3]) },
  "restricted time lost" = function(d) { # a day later, since survfit forgets the influence of events at time 0 on the area
    t <- summary(survfit(Surv(time + 1, state) ~ arm, d, weights = weight, id = id, influence = TRUE, conf.type = "none"), rmean = TAU + 1)$table
    t <- t[!grepl("s0", rownames(t)), , drop = FALSE]; c(t[, "rmean"], if (all(d$weight == 1)) t[, "se(rmean)"]) },
  "Gray" = function(d) cmprsk::cuminc(d$time, d$cause, d$arm)$Tests[, "stat"],
  "Fine-Gray" = function(d) { fg <- finegray(Surv(time + 1, state) ~ ., d, etype = "1", id = id)
    f <- coxph(Surv(fgstart, fgstop, fgstatus) ~ arm + x, fg, weights = fgwt, cluster = id, control = tight)
    c(coef(f), sqrt(diag(f$var))) },
  "parametric" = function(d) { f <- survreg(Surv(time, event) ~ arm + x, d, dist = "weibull", control = list(rel.tolerance = 1e-13, maxiter = 200))
    c(coef(f), log(f$scale), sqrt(diag(f$var))) },
  "Turnbull" = function(d) { d$lower <- 4 * floor(d$time / 4); d$upper <- ifelse(d$event, d$lower + 4, NA)
    f <- survfit(Surv(ifelse(lower == 0, NA, lower), upper, type = "interval2") ~ 1, d, weights = weight)
    sapply(c(4, 8), function(t) summary(f, times = t, extend = TRUE)$surv) })
plain <- function(f, d) { warned <- FALSE
  v <- tryCatch(withCallingHandlers(unname(as.numeric(f(d))), warning = function(w) { warned <<- TRUE; invokeRestart("muffleWarning") }), error = function(e) NULL)
  if (is.null(v) || length(v) == 0 || any(!is.finite(v)) || warned) NA else v }
rows <- read.csv("edge_cases.csv"); stays <- read.csv("edge_stays.csv")
out <- lapply(split(rows, factor(rows$case, unique(rows$case))), function(d) {
  d$event <- d$cause == 1; d$state <- factor(d$cause, 0:2); d$id <- seq_len(nrow(d))
  lapply(estimators, plain, d = d) })
occupation <- function(d) { d$to <- factor(d$to, c("censor", "surgery", "dead"))
  f <- survfit(Surv(start, stop, to) ~ arm, d, id = id, istate = from, influence = TRUE); s <- summary(f, times = AT, extend = TRUE)
  c(s$pstate[, match(c("care", "surgery", "dead"), f$states)], s$std.err[, match(c("care", "surgery", "dead"), f$states)]) }
spent <- function(d) { d$to <- factor(d$to, c("censor", "surgery", "dead"))
  t <- summary(survfit(Surv(start, stop, to) ~ arm, d, id = id, istate = from, influence = TRUE), rmean = TAU)$table
  o <- order(match(sub(".*, ", "", rownames(t)), c("care", "surgery", "dead"))); c(t[o, "rmean"], t[o, "se(rmean)"]) }
for (case in unique(stays$case)) { d <- stays[stays$case == case, ]
  out[[case]][["state occupation"]] <- plain(occupation, d); out[[case]][["time in state"]] <- plain(spent, d) }
writeLines(toJSON(out, digits = 10, pretty = FALSE, na = "null"), "edge_cases.json")
