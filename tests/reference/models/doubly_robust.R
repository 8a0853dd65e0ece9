# cohort.csv: augmented inverse-probability weighting, weighted ANCOVA with stacked variance, standardised risks.
# All variances come from stacked estimating equations whose bread is a central difference of the summed functions (or,
# for AIPW, from the influence function written out). Writes doubly_robust.json. R 4.2.2, nnet.
library(nnet)
d <- read.csv("cohort.csv", stringsAsFactors = TRUE); z <- as.integer(d$arm); K <- 3; n <- nrow(d)
X <- model.matrix(~ age + sex + pain0, d); Xs <- sweep(X, 2, c(1, 10, 1, 5), "/")
prob <- function(th) { e <- cbind(1, exp(Xs %*% matrix(th, ncol = K - 1))); e / rowSums(e) }
grad <- function(th) { r <- outer(z, 2:K, "==") - prob(th)[, -1]; -c(t(Xs) %*% r) }
th <- rep(0, 8); for (i in 1:50) { H <- sapply(1:8, function(j) { h <- replace(0 * th, j, 1e-5); (grad(th + h) - grad(th - h)) / 2e-5 }); th <- th - solve((H + t(H)) / 2, grad(th)) }
e <- prob(th); pairs <- list(b_a = c(2, 1), c_a = c(3, 1), c_b = c(3, 2))
sandwich <- function(psi, p, cl = seq_len(n)) { A <- sapply(seq_along(p), function(j) { s <- 1e-5 * max(1, abs(p[j])); h <- replace(0 * p, j, s); (colSums(psi(p + h)) - colSums(psi(p - h))) / (2 * s) })
  U <- rowsum(psi(p), cl); solve(A) %*% crossprod(U) %*% t(solve(A)) }
diffs <- function(m, V) lapply(pairs, function(q) list(estimate = m[q[1]] - m[q[2]], std_error = sqrt(V[q[1], q[1]] + V[q[2], q[2]] - 2 * V[q[1], q[2]])))
ratios <- function(m, V) { g <- diag(1 / m) %*% V %*% diag(1 / m); lapply(pairs, function(q) list(estimate = m[q[1]] / m[q[2]], log_std_error = sqrt(g[q[1], q[1]] + g[q[2], q[2]] - 2 * g[q[1], q[2]]))) }
aipw <- function(y, family) { f <- sapply(1:K, function(a) predict(glm(y ~ age + sex + pain0, family, d, subset = z == a), d, type = "response"))
  phi <- sapply(1:K, function(a) f[, a] + (z == a) / e[, a] * (y - f[, a])); m <- colMeans(phi); U <- sweep(phi, 2, m) / n
  list(plain = diffs(m, crossprod(U)), site = diffs(m, crossprod(rowsum(U, d$site)))) }
joint <- function(y, family) { f <- glm(y ~ arm * age + sex + pain0, family, d, epsilon = 1e-14)
  q <- sapply(levels(d$arm), function(a) predict(f, transform(d, arm = factor(a, levels(d$arm))), type = "response"))
  phi <- sapply(1:K, function(a) q[, a] + (z == a) / e[, a] * (y - q[, a])); m <- colMeans(phi); diffs(m, crossprod(sweep(phi, 2, m) / n)) }
B <- model.matrix(~ 0 + arm + pain0 + age + sex, d)
wls <- { own <- function(e) e[cbind(1:n, z)]; w <- function(t) { q <- prob(t); 1 / rowSums(1 / q) / own(q) }
  f <- lm.wfit(B, d$pain1, w(th)); p <- c(th, f$coefficients)
  psi <- function(p) { q <- prob(p[1:8]); r <- outer(z, 2:K, "==") - q[, -1]; cbind(Xs * r[, 1], Xs * r[, 2], w(p[1:8]) * B * c(d$pain1 - B %*% p[-(1:8)])) }
  list(plain = diffs(p[9:11], sandwich(psi, p)[9:11, 9:11]), site = diffs(p[9:11], sandwich(psi, p, d$site)[9:11, 9:11])) }
risks <- function(wt) { f <- glm(responder ~ arm + age + sex, quasibinomial, d, weights = wt, epsilon = 1e-14); M <- model.matrix(f)
  set <- function(a) { M[, "armb"] <- a == 2; M[, "armc"] <- a == 3; M }
  m <- sapply(1:K, function(a) weighted.mean(plogis(set(a) %*% coef(f)), wt)); p <- c(coef(f), m); q <- length(coef(f))
  psi <- function(p) cbind(wt * M * c(d$responder - plogis(M %*% p[1:q])), sapply(1:K, function(a) wt * (plogis(set(a) %*% p[1:q]) - p[q + a])))
  V <- sandwich(psi, p)[q + 1:K, q + 1:K]; list(risk = m, std_error = sqrt(diag(V)), difference = diffs(m, V), ratio = ratios(m, V), site = diffs(m, sandwich(psi, p, d$site)[q + 1:K, q + 1:K])) }
out <- list(aipw_linear = aipw(d$pain1, gaussian), aipw_logistic = aipw(d$responder, binomial), joint_linear = joint(d$pain1, gaussian), joint_logistic = joint(d$responder, binomial), ancova = wls, risks = risks(rep(1, n)), weighted_risks = risks(d$weight))
jsonlite::write_json(out, "doubly_robust.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
