# Walking with a cap under overlap weights of three arms, on cohort.csv. Writes walking_weighted.json. R 4.2.2, survival 3.5-3.
# Subjects whose number leaves 4 by division by 9 have no walk: they count for the propensity only.
# 1 stacked: the equations of the multinomial propensity and of the joint likelihood in one column of functions; the scores are
#   written out, the bread is a central difference of their sum, so the variance allows for the estimation of the weights.
# 2 fixed: the same with the propensity held at its estimate.
# 3 bootstrap: propensity, weights and both regressions (lm, survreg) refitted in 4,000 samples of subjects; no formula at all.
library(survival); library(nnet)
d <- read.csv("cohort.csv", stringsAsFactors = TRUE); z <- as.integer(d$arm); n <- nrow(d); walked <- d$subject %% 9 != 4
ls <- log(d$speed1_m_s); lt <- log(d$time1_s); cap <- d$capped1 == 1
E <- model.matrix(~ I((age - 70) / 10) + sex + I(pain0 / 5), d); X <- model.matrix(~ 0 + arm + I(log(speed0_m_s)), d); p <- ncol(X); Z <- cbind(X, ls)
prob <- function(th) { e <- cbind(1, exp(E %*% matrix(th, ncol = 2))); e / rowSums(e) }
overlap <- function(e) 1 / rowSums(1 / e) / e[cbind(seq_len(nrow(e)), z)]
score <- function(th) { a <- drop(Z %*% th[1:(p + 1)]); m <- drop(X %*% th[p + 1 + 1:p]); s <- exp(th[2 * p + 2]); t <- exp(th[2 * p + 3])
  r <- (ls - m) / s; u <- (lt - a) / t; q <- -u; mills <- exp(dnorm(q, log = TRUE) - pnorm(q, log.p = TRUE))
  cbind(Z * ifelse(cap, mills, u) / t, X * r / s, r^2 - 1, ifelse(cap, -q * mills, u^2 - 1)) }
solve_for <- function(psi, p, steps = 30) { for (i in 1:steps) p <- p - solve(bread(psi, p), colSums(psi(p))); p }
bread <- function(psi, p) sapply(seq_along(p), function(j) { s <- 1e-5 * max(1, abs(p[j])); h <- replace(0 * p, j, s); (colSums(psi(p + h)) - colSums(psi(p - h))) / (2 * s) })
sandwich <- function(psi, p, cl) { A <- solve(bread(psi, p)); A %*% crossprod(rowsum(psi(p), cl)) %*% t(A) }
logits <- function(th) { r <- outer(z, 2:3, "==") - prob(th)[, -1]; cbind(E * r[, 1], E * r[, 2]) }
th <- solve_for(logits, rep(0, 8)); w <- overlap(prob(th)) * walked
T <- survreg(Surv(d$time1_s, !cap) ~ 0 + X + ls, weights = w, subset = walked, dist = "lognormal", control = survreg.control(rel.tolerance = 1e-12))
S <- lm.wfit(X[walked, ], ls[walked], w[walked])
start <- c(coef(T), S$coefficients, log(sqrt(sum(w[walked] * S$residuals^2) / sum(w))), log(T$scale))
fixed_psi <- function(q) w * score(q); q <- solve_for(fixed_psi, start, 5)
stacked_psi <- function(v) cbind(logits(v[1:8]), walked * overlap(prob(v[1:8])) * score(v[-(1:8)]))
pairs <- list(b_a = c(2, 1), c_a = c(3, 1), c_b = c(3, 2))
rows <- function(q, V) lapply(pairs, function(k) { g <- q[p + 1]; b <- q[p + 1 + k[1]] - q[p + 1 + k[2]]; J <- matrix(0, 3, length(q))
  J[1, k[1]] <- 1; J[1, k[2]] <- -1; J[1, p + 1 + k[1]] <- g; J[1, p + 1 + k[2]] <- -g; J[1, p + 1] <- b
  J[2, p + 1 + k[1]] <- 1; J[2, p + 1 + k[2]] <- -1; J[3, ] <- J[1, ] + J[2, ]
  e <- c(q[k[1]] - q[k[2]] + g * b, b); data.frame(measure = c("time", "speed", "distance"), ratio = exp(c(e, sum(e))), log_std_error = sqrt(diag(J %*% V %*% t(J)))) })
both <- c(th, q); of_walk <- 8 + seq_along(q)
stacked <- function(cl) rows(q, sandwich(stacked_psi, both, cl)[of_walk, of_walk])
fixed <- function(cl) rows(q, sandwich(fixed_psi, q, cl))
set.seed(20261128)
one <- function() { i <- sample(n, replace = TRUE); b <- d[i, ]; k <- z[i]
  f <- multinom(arm ~ age + sex + pain0, b, trace = FALSE, maxit = 200); e <- f$fitted.values
  v <- 1 / rowSums(1 / e) / e[cbind(1:n, k)]; keep <- walked[i]; Xi <- X[i, ][keep, ]; si <- ls[i][keep]
  t <- coef(survreg(Surv(b$time1_s[keep], b$capped1[keep] == 0) ~ 0 + Xi + si, weights = v[keep], dist = "lognormal")); s <- lm.wfit(Xi, si, v[keep])$coefficients
  c(sapply(pairs, function(m) { bb <- s[m[1]] - s[m[2]]; a <- t[m[1]] - t[m[2]] + t[p + 1] * bb; c(a, bb, a + bb) })) }
draws <- replicate(4000, one()); spread <- matrix(apply(draws, 1, sd), 3)
bootstrap <- setNames(lapply(1:3, function(j) data.frame(measure = c("time", "speed", "distance"), log_std_error = spread[, j])), names(pairs))
out <- list(stacked = stacked(1:n), stacked_site = stacked(d$site), fixed = fixed(1:n), fixed_site = fixed(d$site), bootstrap = bootstrap, subjects = sum(walked))
jsonlite::write_json(out, "walking_weighted.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
