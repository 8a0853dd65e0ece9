# Analysis of covariance on cohort.csv: lm, sandwich::vcovHC / vcovCL. Writes ancova.json.
# Rscript ancova.R (R 4.2.2, sandwich 3.0-2, jsonlite)
library(sandwich)
d <- read.csv("cohort.csv", stringsAsFactors = TRUE)
rows <- function(fit, v, df) {
  k <- rbind(b_a = c(0, 1, 0, rep(0, length(coef(fit)) - 3)), c_a = c(0, 0, 1, rep(0, length(coef(fit)) - 3)))
  k <- rbind(k, c_b = k[2, ] - k[1, ])
  est <- drop(k %*% coef(fit)); se <- sqrt(diag(k %*% v %*% t(k)))
  data.frame(pair = rownames(k), estimate = est, std_error = se,
             ci_low = est - qt(.975, df) * se, ci_high = est + qt(.975, df) * se,
             p_value = 2 * pt(-abs(est / se), df), df = df)
}
plain <- lm(pain1 ~ arm + pain0 + age + sex, d)
weighted <- lm(pain1 ~ arm + pain0 + age + sex, d, weights = weight)
at_mean <- function(fit, w) {
  x <- model.matrix(fit); m <- apply(x, 2, weighted.mean, w)
  sapply(c("a", "b", "c"), function(g) {
    m["armb"] <- g == "b"; m["armc"] <- g == "c"; sum(m * coef(fit)) })
}
out <- list(
  hc3 = rows(plain, vcovHC(plain, "HC3"), df.residual(plain)),
  model = rows(plain, vcov(plain), df.residual(plain)),
  weighted_hc3 = rows(weighted, vcovHC(weighted, "HC3"), df.residual(weighted)),
  cluster = rows(plain, vcovCL(plain, ~site, type = "HC1"), length(unique(d$site)) - 1),
  means = as.list(at_mean(plain, rep(1, nrow(d)))),
  weighted_means = as.list(at_mean(weighted, d$weight)))
jsonlite::write_json(out, "ancova.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
