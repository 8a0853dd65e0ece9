# Scaled Schoenfeld residuals and their smooth on subjects.csv. Writes schoenfeld.json.
# R 4.2.2, survival 3.5-3: cox.zph(terms = FALSE)$y, and the natural spline of plot.cox.zph (df = 4, 40 points).
library(survival); library(splines); library(jsonlite)
d <- read.csv("subjects.csv"); d$event <- d$cause == 1
tight <- coxph.control(eps = 1e-12, toler.chol = 1e-14)
smooth <- function(z, i, df = 4, nsmo = 40) { # the body of plot.cox.zph, without the drawing
  at <- seq(min(z$x), max(z$x), length = nsmo); basis <- ns(c(at, z$x), df = df, intercept = TRUE)
  keep <- !is.na(z$y[, i]); q <- qr(basis[-(1:nsmo), ][keep, ]); p <- basis[1:nsmo, ]
  b <- backsolve(q$qr[1:df, 1:df], diag(df)); s <- ((p %*% (b %*% t(b))) * p) %*% rep(1, df)
  list(estimate = c(p %*% qr.coef(q, z$y[keep, i])), std_error = c(sqrt(z$var[i, i] * s)))
}
drift <- function(f, transform = "km") { z <- cox.zph(f, transform, terms = FALSE)
  ord <- order(z$time, z$y[, 1]) # tied events have no order of their own
  list(time = z$time[ord], residuals = unname(lapply(seq_len(ncol(z$y)), function(i) z$y[ord, i])),
       smooth = unname(lapply(seq_len(ncol(z$y)), function(i) smooth(z, i)))) }
plain <- coxph(Surv(time, event) ~ arm + age + severe, d, control = tight)
out <- list(cox = drift(plain), cox_rank = drift(plain, "rank"),
  cox_breslow = drift(coxph(Surv(time, event) ~ arm + age + severe, d, ties = "breslow", control = tight)),
  cox_full = drift(coxph(Surv(entry, time, event) ~ age + severe + strata(site), d, weights = weight, cluster = patient, control = tight)))
k <- d; k$severe[k$site == 2] <- 1 # a term that does not vary in one stratum
out$constant_in_a_stratum <- drift(coxph(Surv(time, event) ~ age + severe + strata(site), k, control = tight))
writeLines(toJSON(out, digits = 10, auto_unbox = TRUE, pretty = FALSE, na = "null"), "schoenfeld.json")
