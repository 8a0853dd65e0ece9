# Time-to-event estimates on subjects.csv, stays.csv and visits.csv. Writes estimates.json.
# R 4.2.2, survival 3.5-3 (survfit, survdiff, coxph, cox.zph, finegray, survreg), cmprsk 2.2-11 (Gray's test).
library(survival); library(jsonlite)
d <- read.csv("subjects.csv"); d$event <- d$cause == 1; d$state <- factor(d$cause, 0:2)
out <- list()
curve <- function(f, at = c(10, 25)) { s <- summary(f, times = at, extend = TRUE)
  data.frame(group = if (is.null(s$strata)) "all" else sub(".*=", "", s$strata), time = s$time, estimate = s$surv,
             std_error = s$std.err, ci_low = s$lower, ci_high = s$upper) }
out$km <- curve(survfit(Surv(time, event) ~ arm, d, conf.type = "log-log"))
out$km_entry <- curve(survfit(Surv(entry, time, event) ~ arm, d, conf.type = "log-log"))
out$km_weighted <- curve(survfit(Surv(time, event) ~ arm, d, weights = weight, robust = TRUE, conf.type = "log-log"))
out$km_clustered <- curve(survfit(Surv(time, event) ~ arm, d, weights = weight, cluster = patient, conf.type = "log-log"))
lr <- function(f) list(statistic = f$chisq, df = length(f$n) - 1)
out$log_rank <- lr(survdiff(Surv(time, event) ~ arm, d))
out$log_rank_stratified <- lr(survdiff(Surv(time, event) ~ arm + strata(site), d))
p <- combn(sort(unique(d$arm)), 2); q <- apply(p, 2, function(a) {
  x <- survdiff(Surv(time, event) ~ arm, d[d$arm %in% a, ]); pchisq(x$chisq, 1, lower.tail = FALSE) })
out$pairwise <- data.frame(reference = p[1, ], group = p[2, ], p_value = q, p_adjusted = p.adjust(q, "holm"))
rm <- summary(survfit(Surv(time, event) ~ arm, d), rmean = 30)$table
out$restricted_mean <- data.frame(group = sub(".*=", "", rownames(rm)), estimate = rm[, "rmean"], std_error = rm[, "se(rmean)"])
aj <- function(f) { s <- summary(f, times = c(10, 25), extend = TRUE); do.call(rbind, lapply(1:2, function(k)
  data.frame(group = sub(".*=", "", s$strata), cause = k, time = s$time, estimate = s$pstate[, k + 1], std_error = s$std.err[, k + 1]))) }
out$incidence <- aj(survfit(Surv(time, state) ~ arm, d))
out$incidence_weighted <- aj(survfit(Surv(time, state) ~ arm, d, weights = weight))
# One day later and to day 31: survfit forgets the influence of events at time 0 in the error of the area. What the
# shift adds is one event-free day.
t <- summary(survfit(Surv(time + 1, state) ~ arm, d, influence = TRUE), rmean = 31)$table
t[, "rmean"] <- t[, "rmean"] - grepl("s0", rownames(t))
out$time_lost <- data.frame(group = sub(",.*", "", sub("arm=", "", rownames(t))), state = sub(".*, ", "", rownames(t)),
                            estimate = t[, "rmean"], std_error = t[, "se(rmean)"])
g <- cmprsk::cuminc(d$time, d$cause, d$arm)$Tests
out$gray <- data.frame(cause = 1:2, statistic = g[, "stat"], df = g[, "df"])
tight <- coxph.control(eps = 1e-12, toler.chol = 1e-14)
cox <- function(f) { s <- summary(f)$coefficients; z <- function(k) as.data.frame(cox.zph(f, k, terms = FALSE)$table)
  b <- basehaz(f, centered = FALSE)
  list(coef = unname(coef(f)), std_error = unname(sqrt(diag(if (is.null(f$naive.var)) f$var else f$naive.var))),
       robust = if (is.null(f$naive.var)) NULL else unname(sqrt(diag(f$var))), log_likelihood = f$loglik,
       km = z("km")$chisq, rank = z("rank")$chisq, hazard_at_20 = max(b$hazard[b$time <= 20])) }
out$cox <- cox(coxph(Surv(time, event) ~ arm + age + severe, d, control = tight))
out$cox_breslow <- cox(coxph(Surv(time, event) ~ arm + age + severe, d, ties = "breslow", control = tight))
out$cox_full <- cox(coxph(Surv(entry, time, event) ~ age + severe + strata(site), d, weights = weight, cluster = patient, control = tight))
fg <- finegray(Surv(time, state) ~ ., d, etype = "1", id = id)
f <- coxph(Surv(fgstart, fgstop, fgstatus) ~ arm + age + severe, fg, weights = fgwt, cluster = id, control = tight)
out$fine_gray <- list(coef = unname(coef(f)), robust = unname(sqrt(diag(f$var))))
s <- read.csv("stays.csv"); s$to <- factor(s$to, c("censor", "injection", "surgery", "dead", "care"))
f <- survfit(Surv(start, stop, to) ~ arm, s, id = id, istate = from, influence = TRUE); k <- summary(f, times = c(10, 30))
out$stays <- data.frame(group = rep(sub(".*=", "", k$strata), ncol(k$pstate)), time = rep(k$time, ncol(k$pstate)),
  state = rep(f$states, each = nrow(k$pstate)), estimate = c(k$pstate), std_error = c(k$std.err))
t <- summary(f, rmean = 30)$table
out$stay_time <- data.frame(row = rownames(t), estimate = t[, "rmean"], std_error = t[, "se(rmean)"])
v <- read.csv("visits.csv"); v$lower[v$lower == 0] <- NA
out$parametric <- lapply(c(weibull = "weibull", `log-normal` = "lognormal", `log-logistic` = "loglogistic"), function(k) {
  f <- survreg(Surv(lower, upper, type = "interval2") ~ age, v, dist = k, control = list(rel.tolerance = 1e-13, maxiter = 200))
  list(coef = unname(c(coef(f), log(f$scale))), std_error = unname(sqrt(diag(f$var))), log_likelihood = f$loglik[2]) })
writeLines(toJSON(out, digits = NA, auto_unbox = TRUE, pretty = 1), "estimates.json")
