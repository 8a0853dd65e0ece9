# Random intercept (nlme::lme) and GEE (geepack) on visits.csv. Writes second_opinion.json. R 4.2.2.
library(nlme); library(geepack)
d <- read.csv("visits.csv", stringsAsFactors = TRUE); d <- d[order(d$subject, d$visit), ]; d$low <- as.integer(d$odi < 25)
m <- lme(odi ~ sex + base + arm + visit, d, random = ~1 | subject, control = lmeControl(msTol = 1e-12, tolerance = 1e-10))
g <- geeglm(low ~ sex + base + arm, binomial, d, id = subject, corstr = "exchangeable", control = geese.control(epsilon = 1e-12, maxit = 200))
i <- geeglm(odi ~ sex + base + arm, gaussian, d, id = subject, corstr = "independence")
gee <- function(f) list(coef = as.list(coef(f)), std_error = as.list(setNames(sqrt(diag(f$geese$vbeta)), names(coef(f)))))
out <- list(lme = list(log_likelihood = c(logLik(m)), coef = as.list(fixef(m)), std_error = as.list(sqrt(diag(vcov(m)))), variances = as.numeric(VarCorr(m)[, 1])),
  binomial = gee(g), gaussian = gee(i))
jsonlite::write_json(out, "second_opinion.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
