# Walking with a cap, on cohort.csv. Writes walking.json. R 4.2.2, survival 3.5-3, mvtnorm, sandwich.
# 1 factorised: log speed by lm, log time given log speed by survreg (right-censored); the bivariate normal likelihood is
#   their product, so the effect on time is alpha + gamma * beta. Model variance by the delta method (lm with divisor n).
# 2 zero: the same with invented walks of 0 m, by optim on the likelihood written with dnorm and pnorm.
# 3 baseline: latent censored baseline, by optim, orthant probabilities from mvtnorm::pmvnorm (no quadrature).
library(survival); library(mvtnorm)
d <- read.csv("cohort.csv")
ls <- log(d$speed1_m_s); lt <- log(d$time1_s); cap <- d$capped1 == 1
X <- model.matrix(~ 0 + arm + I((age - 70) / 10) + I(sex == "male"), d)
p <- ncol(X)
contrast <- function(theta, V, iT, iS, ig) {
  g <- theta[ig]; out <- list()
  for (pr in list(c("b_a", 2, 1), c("c_a", 3, 1), c("c_b", 3, 2))) {
    i <- as.integer(pr[2]); j <- as.integer(pr[3]); q <- length(theta)
    J <- matrix(0, 3, q)
    J[1, iT[i]] <- 1; J[1, iT[j]] <- -1; J[1, iS[i]] <- g; J[1, iS[j]] <- -g
    J[1, ig] <- theta[iS[i]] - theta[iS[j]]
    J[2, iS[i]] <- 1; J[2, iS[j]] <- -1; J[3, ] <- J[1, ] + J[2, ]
    e <- c(theta[iT[i]] - theta[iT[j]] + g * (theta[iS[i]] - theta[iS[j]]), theta[iS[i]] - theta[iS[j]])
    e <- c(e, sum(e)); s <- sqrt(diag(J %*% V %*% t(J)))
    out[[pr[1]]] <- data.frame(measure = c("time", "speed", "distance"), ratio = exp(e), log_std_error = s)
  }
  out
}
factorised <- function(w) {
  S <- lm(ls ~ 0 + X, weights = w); T <- survreg(Surv(d$time1_s, !cap) ~ 0 + X + ls, weights = w, dist = "lognormal",
    control = survreg.control(rel.tolerance = 1e-14, maxiter = 100))
  VS <- vcov(S) * df.residual(S) / sum(w)
  if (any(w != 1)) VS <- solve(crossprod(X, w * X)) * sum(w * resid(S)^2) / sum(w)
  theta <- c(coef(T)[1:p], coef(S), coef(T)[p + 1])
  V <- matrix(0, 2 * p + 1, 2 * p + 1); it <- c(1:p, 2 * p + 1)
  V[it, it] <- vcov(T)[1:(p + 1), 1:(p + 1)]; V[p + 1:p, p + 1:p] <- VS
  contrast(theta, V, 1:p, p + 1:p, 2 * p + 1)
}
clustered <- function() {
  S <- lm(ls ~ 0 + X); T <- survreg(Surv(d$time1_s, !cap) ~ 0 + X + ls, dist = "lognormal",
    control = survreg.control(rel.tolerance = 1e-14, maxiter = 100))
  s2 <- mean(resid(S)^2); theta <- c(coef(T)[1:p], coef(S), coef(T)[p + 1]); it <- c(1:p, 2 * p + 1, 2 * p + 2)
  B <- matrix(0, 2 * p + 2, 2 * p + 2); B[it, it] <- vcov(T); B[p + 1:p, p + 1:p] <- solve(crossprod(X)) * s2
  U <- matrix(0, nrow(d), 2 * p + 2); U[, it] <- sandwich::estfun(T); U[, p + 1:p] <- X * resid(S) / s2
  contrast(theta, (B %*% crossprod(rowsum(U, d$site)) %*% B)[-(2 * p + 2), -(2 * p + 2)], 1:p, p + 1:p, 2 * p + 1)
}
fit <- function(nll, start) {
  safe <- function(th) { v <- tryCatch(nll(th), error = function(e) 1e8); if (is.finite(v)) v else 1e8 }
  o <- optim(start, safe, method = "BFGS", control = list(reltol = 1e-15, maxit = 2000))
  o <- optim(o$par, safe, method = "BFGS", control = list(reltol = 1e-16, maxit = 2000, parscale = pmax(abs(o$par), .1)))
  list(par = o$par, V = solve(optimHess(o$par, nll, control = list(ndeps = rep(1e-4, length(start))))), value = o$value)
}
lm_start <- function(X, y) unname(coef(lm(y ~ 0 + X)))
# 2: rows whose number ends in 7 did not walk: less than 30 s
zero <- d$subject %% 10 == 7
nll2 <- function(th) {
  a <- drop(X %*% th[1:p]); m <- drop(X %*% th[p + 1:p]); g <- th[2 * p + 1]; s <- exp(th[2 * p + 2]); t <- exp(th[2 * p + 3])
  k <- !zero & !cap; r <- !zero & cap
  -(sum(dnorm(ls[!zero], m[!zero], s, TRUE)) + sum(dnorm(lt[k], (a + g * ls)[k], t, TRUE)) +
    sum(pnorm(lt[r], (a + g * ls)[r], t, FALSE, TRUE)) + sum(pnorm(log(30), (a + g * m)[zero], sqrt(t^2 + g^2 * s^2), TRUE, TRUE)))
}
s2 <- fit(nll2, c(lm_start(X, lt), lm_start(X, ls), 0, log(.2), log(.8)))
# 3: latent baseline. (b, y, x) is trivariate normal; y = m + ls_b b + .., x | y, b = a + lt_b b + gamma y + ..
b <- log(d$time0_s); capb <- d$capped0 == 1
X3 <- cbind(X, log(d$speed0_m_s)); q <- ncol(X3)
nll3 <- function(th) {
  al <- th[1:q]; aB <- th[q + 1]; be <- th[q + 1 + 1:q]; bB <- th[2 * q + 2]; g <- th[2 * q + 3]
  s <- exp(th[2 * q + 4]); t <- exp(th[2 * q + 5]); ka <- th[2 * q + 5 + 1:q]; w <- exp(th[3 * q + 6])
  a <- drop(X3 %*% al); m <- drop(X3 %*% be); z <- drop(X3 %*% ka)
  mb <- cbind(b = z, y = m + bB * z, x = a + aB * z + g * (m + bB * z))
  L <- rbind(c(w, 0, 0), c(bB * w, s, 0), c((aB + g * bB) * w, g * s, t)); S <- L %*% t(L)
  cond <- function(keep, given, val, mu) {
    A <- S[keep, given, drop = FALSE] %*% solve(S[given, given])
    list(mean = sweep(t(A %*% t(val - mu[, given, drop = FALSE])), 2, 0) + mu[, keep, drop = FALSE],
         S = S[keep, keep] - A %*% S[given, keep])
  }
  v <- cbind(b, ls, lt); tot <- 0
  k <- !capb & !cap; tot <- tot + sum(dmvnorm(v[k, ] - mb[k, ], sigma = S, log = TRUE))
  k <- !capb & cap; u <- cond(3, 1:2, v[k, 1:2], mb[k, ])
  tot <- tot + sum(dmvnorm(v[k, 1:2] - mb[k, 1:2], sigma = S[1:2, 1:2], log = TRUE)) +
    sum(pnorm(lt[k], u$mean[, 1], sqrt(u$S[1, 1]), FALSE, TRUE))
  k <- capb & !cap; u <- cond(1, 2:3, v[k, 2:3], mb[k, ])
  tot <- tot + sum(dmvnorm(v[k, 2:3] - mb[k, 2:3], sigma = S[2:3, 2:3], log = TRUE)) +
    sum(pnorm(b[k], u$mean[, 1], sqrt(u$S[1, 1]), FALSE, TRUE))
  k <- which(capb & cap); u <- cond(c(1, 3), 2, v[k, 2, drop = FALSE], mb[k, , drop = FALSE])
  tot <- tot + sum(dnorm(ls[k], mb[k, 2], sqrt(S[2, 2]), TRUE))
  for (i in seq_along(k)) tot <- tot + log(pmvnorm(c(b[k[i]], lt[k[i]]), Inf, u$mean[i, ], sigma = u$S, algorithm = TVPACK(1e-12)))
  -tot
}
f <- lm(ls ~ 0 + X3 + b); h <- lm(lt ~ 0 + X3 + b + ls)
s3 <- fit(nll3, c(coef(h)[1:(q + 1)], coef(f), coef(h)[q + 2], log(.2), log(.7), lm_start(X3, b), log(.9)))
out <- list(factorised = factorised(rep(1, nrow(d))), weighted = factorised(d$weight), clustered = clustered(),
  zero = contrast(s2$par, s2$V, 1:p, p + 1:p, 2 * p + 1), zero_log_likelihood = -s2$value,
  baseline = contrast(s3$par, s3$V, 1:q, q + 1 + 1:q, 2 * q + 3), baseline_log_likelihood = -s3$value,
  both_capped = sum(capb & cap))
jsonlite::write_json(out, "walking.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
