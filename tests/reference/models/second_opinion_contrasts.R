# Differences of arms at m12 with arm and baseline by visit: nlme::lme (random intercept) and geepack on visits.csv.
# Writes second_opinion_contrasts.json. R 4.2.2.
library(nlme); library(geepack)
d <- read.csv("visits.csv", stringsAsFactors = TRUE); d <- d[order(d$subject, d$visit), ]
f <- odi ~ visit * arm + visit * base + sex
m <- lme(f, d, random = ~1 | subject, control = lmeControl(msTol = 1e-12, tolerance = 1e-10))
g <- geeglm(f, gaussian, d, id = subject, corstr = "exchangeable", control = geese.control(epsilon = 1e-12, maxit = 200))
at <- function(b, v, plus, minus) {
  l <- setNames(numeric(length(b)), names(b))
  for (arm in c(plus, minus)) if (arm != "a") {
    s <- if (arm == plus) 1 else -1
    l[paste0("arm", arm)] <- s; l[paste0("visitm12:arm", arm)] <- s
  }
  list(estimate = sum(l * b), std_error = sqrt(c(l %*% v %*% l)))
}
both <- function(b, v) list(b_vs_a = at(b, v, "b", "a"), c_vs_b = at(b, v, "c", "b"))
vg <- g$geese$vbeta; dimnames(vg) <- list(names(coef(g)), names(coef(g)))
out <- list(lme = both(fixef(m), vcov(m)), gee = both(coef(g), vg))
jsonlite::write_json(out, "second_opinion_contrasts.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
