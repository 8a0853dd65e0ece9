# Responders, pooling and E-values. Writes responders_pooling.json. R 4.2.2, mice 3.15.0.
# 1 responders of cohort.csv by arm: limits of a share from prop.test (no correction); limits of a difference from Newcombe's
#   method 10 with score limits found by uniroot; log risk ratio and its standard error from glm with log link.
# 2 pooling: coefficients of lm in five versions of cohort.csv (every fifth pain1, from a place that moves, replaced by a value
#   drawn around pain0), pooled by mice::pool.scalar with Barnard & Rubin's degrees of freedom.
# 3 E-values: no formula; the smallest confounding of equal strength on both sides is solved for by uniroot in the bounding
#   factor x * x / (2 * x - 1) of Ding & VanderWeele 2016.
d <- read.csv("cohort.csv", stringsAsFactors = TRUE); n <- nrow(d)
z <- qnorm(.975); x <- tapply(d$responder, d$arm, sum); m <- table(d$arm)
score <- function(x, n) { p <- x / n; f <- function(q) (p - q)^2 * n - z^2 * q * (1 - q); c(uniroot(f, c(0, p), tol = 1e-15)$root, uniroot(f, c(p, 1), tol = 1e-15)$root) }
pairs <- list(b_a = c("b", "a"), c_a = c("c", "a"), c_b = c("c", "b"))
two <- function(k) { p <- x[k] / m[k]; l <- lapply(k, function(a) score(x[a], m[a])); e <- unname(p[1] - p[2])
  part <- d[d$arm %in% k, ]; part$one <- part$arm == k[1]; g <- glm(responder ~ one, binomial("log"), part, start = c(log(mean(part$responder)), 0), epsilon = 1e-14)
  s <- summary(g)$coefficients[2, ]
  list(difference = e, low = e - sqrt((p[1] - l[[1]][1])^2 + (l[[2]][2] - p[2])^2), high = e + sqrt((l[[1]][2] - p[1])^2 + (p[2] - l[[2]][1])^2), log_ratio = s[[1]], log_ratio_se = s[[2]]) }
share <- lapply(levels(d$arm), function(a) { t <- prop.test(x[a], m[a], correct = FALSE); list(x = unname(x[a]), n = unname(m[a]), low = t$conf.int[1], high = t$conf.int[2]) })
fits <- sapply(1:5, function(i) { v <- d; k <- (seq_len(n) + i) %% 5 == 0; v$pain1[k] <- d$pain0[k] - 1 + sin(i * seq_len(n))[k]
  s <- summary(lm(pain1 ~ pain0 + arm, v))$coefficients[3:4, 1:2]; c(s) })
pooled <- lapply(1:2, function(j) { p <- mice::pool.scalar(fits[j, ], fits[j + 2, ]^2, n = n, k = 4); list(estimate = p$qbar, std_error = sqrt(p$t), df = p$df, fmi = p$fmi) })
names(pooled) <- c("b", "c")
e <- function(r) { r <- max(r, 1 / r); if (r == 1) 1 else uniroot(function(x) x * x / (2 * x - 1) - r, c(1, 4 * r + 4), tol = 1e-14)$root }
to_rr <- list(RR = identity, HR_rare = identity, HR_common = function(h) (1 - .5^sqrt(h)) / (1 - .5^sqrt(1 / h)), OR_common = sqrt, SMD = function(v) exp(.91 * v))
cases <- list(list("RR", 3.9, 1.8, 8.7), list("RR", .8, .71, .91), list("HR_rare", .56, .46, .69), list("HR_common", .6, .4, .9), list("OR_common", 2.4, 1.1, 5.0), list("SMD", -.42, -.71, -.13), list("RR", 1.2, .9, 1.6))
values <- lapply(cases, function(v) { f <- to_rr[[v[[1]]]]; p <- f(v[[2]]); near <- if (p >= 1) f(v[[3]]) else f(v[[4]]); crosses <- if (p >= 1) near <= 1 else near >= 1
  list(measure = v[[1]], estimate = v[[2]], low = v[[3]], high = v[[4]], point = e(p), limit = if (crosses) 1 else e(near)) })
out <- list(share = setNames(share, levels(d$arm)), pairs = lapply(pairs, two), per_imputation = list(estimates = t(fits[1:2, ]), std_errors = t(fits[3:4, ])), complete_df = n - 4, pooled = pooled, e_values = values)
jsonlite::write_json(out, "responders_pooling.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
