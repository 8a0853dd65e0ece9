# Sites: exact limits, over-dispersion, random-intercept logistic model, CUSUM and its run length. Writes sites.json.
# Rscript sites.R (R 4.2.2, lme4 1.1-31, jsonlite). patients.csv is drawn here, so the script is the whole source.
library(lme4)
set.seed(20261128)
size <- c(12, 35, 60, 90, 120, 150, 200, 240, 300, 400)
site <- rep(sprintf("s%02d", seq_along(size)), size)
p <- round(plogis(qlogis(0.18) + rnorm(length(site), 0, 0.7)), 4)
effect <- rnorm(length(size), 0, 0.45)
y <- rbinom(length(site), 1, plogis(qlogis(p) + effect[match(site, unique(site))]))
d <- data.frame(site = site, p = p, y = y)
write.csv(d, "patients.csv", row.names = FALSE, quote = FALSE)

pmf <- function(p) { f <- 1; for (x in p) f <- c(f * (1 - x), 0) + c(0, f * x); f }
limit <- function(f, q) which(cumsum(f) >= q)[1] - 1
funnel <- do.call(rbind, lapply(split(d, d$site), function(s) {
  f <- pmf(s$p)
  data.frame(site = s$site[1], n = nrow(s), o = sum(s$y), e = sum(s$p), v = sum(s$p * (1 - s$p)),
             lo95 = limit(f, .025), hi95 = limit(f, .975), lo998 = limit(f, .001), hi998 = limit(f, .999)) }))
# a site effect that is normal with a known spread of 0.3: the count's distribution by numerical integration
mixed <- lapply(split(d, d$site)[c("s02", "s05", "s10")], function(s) {
  nodes <- seq(-6, 6, length.out = 401) * 0.3; w <- dnorm(nodes, 0, 0.3); w <- w / sum(w)
  f <- Reduce(`+`, Map(function(b, k) k * pmf(plogis(qlogis(s$p) + b)), nodes, w))
  c(lo998 = limit(f, .001), hi998 = limit(f, .999), lo95 = limit(f, .025), hi95 = limit(f, .975)) })

z <- with(funnel, (o - e) / sqrt(v)); s <- 1 / sqrt(funnel$v)
q <- quantile(z, c(.1, .9), type = 7); zw <- pmin(pmax(z, q[1]), q[2]); w <- 1 / s^2
dl <- function(z) { i <- length(z); phi <- mean(z^2)
  c(phi = phi, tau2 = max(0, (i * phi - (i - 1)) / (sum(w) - sum(w^2) / sum(w)))) }

fit <- glmer(y ~ 0 + offset(qlogis(p)) + (1 | site), d, binomial, nAGQ = 25,
             control = glmerControl(tolPwrss = 1e-12, optCtrl = list(ftol_abs = 1e-14, xtol_abs = 1e-12)))
tau <- as.numeric(getME(fit, "theta"))
post <- do.call(rbind, lapply(split(d, d$site), function(s) {
  g <- Vectorize(function(b) exp(sum(dbinom(s$y, 1, plogis(qlogis(s$p) + b), log = TRUE)) + dnorm(b, 0, tau, log = TRUE)
                                 - sum(dbinom(s$y, 1, s$p, log = TRUE))))
  m <- function(k) integrate(function(b) b^k * g(b), -3, 3, rel.tol = 1e-12, subdivisions = 2000)$value
  data.frame(site = s$site[1], mean = m(1) / m(0), sd = sqrt(m(2) / m(0) - (m(1) / m(0))^2),
             reliability = tau^2 / (tau^2 + 1 / sum(s$p * (1 - s$p)))) }))

one <- d[d$site == "s09", ]
wt <- one$y * log(2) - log(1 - one$p + 2 * one$p); x <- 0; chart <- numeric()
for (k in wt) { x <- max(0, (if (x >= 2) 0 else x) + k); chart <- c(chart, x) }
# run length of the CUSUM at a constant risk of 0.1 and an odds ratio of 2, by the Markov chain of Brook and Evans (1972)
arl <- function(h, p, or, m = 4000) {
  grid <- (seq_len(m) - 0.5) * h / m; up <- log(or) - log(1 - p + or * p); down <- -log(1 - p + or * p)
  cell <- function(v) pmax(1, ceiling(v * m / h))
  a <- Matrix::sparseMatrix(i = rep(seq_len(m), 2), j = pmin(m + 1, c(cell(pmax(0, grid + up)), cell(pmax(0, grid + down)))),
                            x = rep(c(p, 1 - p), each = m), dims = c(m, m + 1))[, seq_len(m)]
  run <- as.numeric(Matrix::solve(Matrix::Diagonal(m) - a, rep(1, m))); run[1] }
runs <- lapply(c(2.5, 3.5), function(h) list(limit = h, p = 0.1, odds_ratio = 2, run_length = arl(h, 0.1, 2)))

jsonlite::write_json(list(funnel = funnel, mixed = lapply(mixed, as.list), raw = as.list(dl(z)), winsorised = as.list(dl(zw)),
  tau = tau, log_likelihood = as.numeric(logLik(fit)), posterior = post, cusum = chart, runs = runs),
  "sites.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
