# Multinomial propensity, three arms, on cohort.csv: nnet::multinom, weights by formula, Hajek means of pain1.
# Variances: fixed weights by hand (HC0 of the weighted means); estimated weights from the stacked equations whose bread
# is a central difference of the summed estimating function (independent of any analytic derivative).
# Balance by hand: pooled unweighted sd of the pair; weighted variance by cov.wt(method = "unbiased"); KS by ecdf steps.
# Writes propensity.json. R 4.2.2, nnet 7.3-18.
library(nnet)
d <- read.csv("cohort.csv", stringsAsFactors = TRUE)
d$arm <- factor(d$arm); z <- as.integer(d$arm); K <- 3; n <- nrow(d)
X <- model.matrix(~ age + sex + pain0, d)
scale <- apply(X, 2, function(x) if (sd(x) > 0) sd(x) else 1); Xs <- sweep(X, 2, scale, "/")
prob <- function(th) { e <- cbind(1, exp(Xs %*% matrix(th, ncol = K - 1))); e / rowSums(e) }
nll <- function(th) -sum(log(prob(th)[cbind(1:n, z)]))
grad <- function(th) { r <- outer(z, 2:K, "==") - prob(th)[, -1]; -c(t(Xs) %*% r) }
m <- multinom(arm ~ age + sex + pain0, d, trace = FALSE, reltol = 1e-15, abstol = 1e-12, maxit = 1000)
th <- c(t(sweep(coef(m), 2, scale, "*")))
for (i in 1:20) { # polish nnet's answer with Newton steps, Hessian by differences of the gradient
  H <- sapply(seq_along(th), function(j) { h <- replace(0 * th, j, 1e-5); (grad(th + h) - grad(th - h)) / 2e-5 })
  th <- th - solve((H + t(H)) / 2, grad(th)) }
e <- prob(th); own <- function(e) e[cbind(1:n, z)]
W <- list(ate = function(e) 1 / own(e), att_b = function(e) e[, 2] / own(e), overlap = function(e) 1 / rowSums(1 / e) / own(e))
y <- d$pain1; y2 <- d$responder
effect <- function(w, y) {
  wf <- W[[w]]; ww <- wf(e); mu <- sapply(1:K, function(a) sum((ww * y)[z == a]) / sum(ww[z == a]))
  psi <- function(p) { # rows of the stacked estimating function, p = (theta, mu)
    t0 <- p[1:length(th)]; mu0 <- p[-(1:length(th))]; e0 <- prob(t0); w0 <- wf(e0)
    r <- outer(z, 2:K, "==") - e0[, -1]
    cbind(do.call(cbind, lapply(1:(K - 1), function(k) Xs * r[, k])), sapply(1:K, function(a) w0 * (z == a) * (y - mu0[a]))) }
  p <- c(th, mu)
  A <- sapply(seq_along(p), function(j) { h <- replace(0 * p, j, 1e-5); (colSums(psi(p + h)) - colSums(psi(p - h))) / 2e-5 })
  V <- function(U) solve(A) %*% crossprod(U) %*% t(solve(A)); i <- length(th) + 1:K
  fixed <- diag(sapply(1:K, function(a) sum((ww * (z == a) * (y - mu[a]))^2) / sum(ww[z == a])^2))
  se <- function(V, a, b) sqrt(V[a, a] + V[b, b] - 2 * V[a, b])
  S <- V(psi(p))[i, i]; C <- V(rowsum(psi(p), d$site))[i, i]
  lapply(list(b_a = c(2, 1), c_a = c(3, 1), c_b = c(3, 2)), function(q) list(estimate = mu[q[1]] - mu[q[2]],
    fixed = se(fixed, q[1], q[2]), stacked = se(S, q[1], q[2]), clustered = se(C, q[1], q[2]),
    ratio = mu[q[1]] / mu[q[2]],
    log_stacked = sqrt(sum((c(1 / mu[q[1]], -1 / mu[q[2]]) %o% c(1 / mu[q[1]], -1 / mu[q[2]])) * S[q, q]))))
}
balance <- function(w, a, b) sapply(c("age", "pain0"), function(v) {
  x <- d[[v]]; ia <- z == a; ib <- z == b; cw <- function(i) cov.wt(matrix(x[i]), w[i], method = "unbiased")
  g <- sort(unique(x)); F <- function(i) sapply(g, function(t) sum(w[i & x <= t]) / sum(w[i]))
  c(smd = (weighted.mean(x[ia], w[ia]) - weighted.mean(x[ib], w[ib])) / sqrt((var(x[ia]) + var(x[ib])) / 2),
    variance_ratio = cw(ia)$cov[1] / cw(ib)$cov[1], ks = max(abs(F(ia) - F(ib)))) }, simplify = FALSE)
coefs <- sweep(matrix(th, ncol = 2), 1, scale, "/")
out <- list(coefficients = as.list(data.frame(t(coefs))), log_likelihood = -nll(th), scores_first = e[1:3, ],
  ess = lapply(W, function(f) tapply(f(e), z, function(w) sum(w)^2 / sum(w^2))),
  pain1 = lapply(setNames(names(W), names(W)), effect, y), responder = lapply(setNames(names(W), names(W)), effect, y2),
  balance_overlap = list(b_a = balance(W$overlap(e), 2, 1), c_b = balance(W$overlap(e), 3, 2)))
jsonlite::write_json(out, "propensity.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
