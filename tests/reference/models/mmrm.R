# Repeated measures on visits.csv. Writes mmrm.json. R 4.2.2, nlme 3.1-162, clubSandwich.
# gls: REML with corSymm + varIdent (unstructured), corCompSymm + varIdent, corCompSymm.
# Clustered variance and its degrees of freedom: clubSandwich CR0 with Satterthwaite.
# Satterthwaite degrees of freedom of the model variance: a restricted likelihood written here subject by subject, its
# Hessian and the derivatives of l'Cl by optimHess / central differences in the elements of sigma.
library(nlme); library(clubSandwich)
d <- read.csv("visits.csv", stringsAsFactors = TRUE); d <- d[order(d$subject, d$visit), ]
d$k <- as.integer(d$visit)
formula <- odi ~ sex + base * visit + arm * visit
ctl <- glsControl(maxIter = 500, msMaxIter = 2000, tolerance = 1e-12, msTol = 1e-13, opt = "nlminb", apVar = FALSE)
fits <- list(
  unstructured = gls(formula, d, correlation = corSymm(form = ~k | subject), weights = varIdent(form = ~1 | visit), control = ctl),
  heterogeneous = gls(formula, d, correlation = corCompSymm(form = ~k | subject), weights = varIdent(form = ~1 | visit), control = ctl),
  compound = gls(formula, d, correlation = corCompSymm(form = ~k | subject), control = ctl))
X <- model.matrix(formula, d); y <- d$odi; p <- ncol(X); ids <- split(seq_along(y), d$subject)
w <- tapply(d$weight, d$subject, `[`, 1)[names(ids)]
low <- which(lower.tri(diag(4), TRUE), arr.ind = TRUE)
sigma <- function(th) { S <- matrix(0, 4, 4); S[low] <- th; S[upper.tri(S)] <- t(S)[upper.tri(S)]; S }
parts <- function(S, w) { A <- 0; b <- 0; ld <- 0; yy <- 0
  for (i in names(ids)) { r <- ids[[i]]; V <- S[d$k[r], d$k[r], drop = FALSE]; W <- solve(V); A <- A + w[i] * t(X[r, , drop = FALSE]) %*% W %*% X[r, , drop = FALSE]
    b <- b + w[i] * t(X[r, , drop = FALSE]) %*% W %*% y[r]; ld <- ld + w[i] * determinant(V)$modulus; yy <- yy + w[i] * c(y[r] %*% W %*% y[r]) }
  list(A = A, b = b, ld = c(ld), yy = yy) }
nll <- function(th, w, reml = TRUE) { S <- sigma(th); if (any(eigen(S, TRUE)$values <= 0)) return(1e10)
  q <- parts(S, w); N <- sum(w * lengths(ids)); beta <- solve(q$A, q$b)
  0.5 * (q$ld + q$yy - c(t(q$b) %*% beta) + (N - reml * p) * log(2 * pi) + reml * c(determinant(q$A)$modulus)) }
one <- setNames(rep(1, length(ids)), names(ids))
pol <- function(th, w, reml = TRUE) { for (i in 1:4) th <- optim(th, nll, w = w, reml = reml, method = "BFGS", control = list(reltol = 1e-15, maxit = 500, parscale = abs(th), ndeps = rep(1e-5, 10)))$par; th }
S0 <- { g <- fits$unstructured; s <- c(1, coef(g$modelStruct$varStruct, unconstrained = FALSE))[levels(d$visit)]; s[1] <- 1
  C <- corMatrix(g$modelStruct$corStruct)[[which.max(lengths(ids))]]; C * outer(s, s) * g$sigma^2 }
th <- pol(S0[low], one)
C_of <- function(t) solve(parts(sigma(t), one)$A); C <- C_of(th); H <- optimHess(th, nll, w = one, control = list(parscale = abs(th), ndeps = rep(1e-3, 10)))
beta <- drop(solve(parts(sigma(th), one)$A, parts(sigma(th), one)$b)); names(beta) <- colnames(X)
dC <- lapply(1:10, function(k) { h <- replace(0 * th, k, 1e-3 * abs(th[k])); (C_of(th + h) - C_of(th - h)) / (2 * h[k]) })
df_of <- function(l) { g <- sapply(dC, function(M) c(l %*% M %*% l)); 2 * c(l %*% C %*% l)^2 / c(g %*% solve(H, g)) }
contrast <- function(v, a, b) { l <- setNames(rep(0, p), colnames(X)); for (s in list(list(a, 1), list(b, -1))) if (s[[1]] != "a") {
  l[paste0("arm", s[[1]])] <- l[paste0("arm", s[[1]])] + s[[2]]; nm <- paste0("visit", v, ":arm", s[[1]]); if (nm %in% names(l)) l[nm] <- l[nm] + s[[2]] }; l }
mean_of <- function(v, a) { l <- contrast(v, a, "a"); l["(Intercept)"] <- 1; l["sexmale"] <- .5; m <- mean(d$base); l["base"] <- m
  if (paste0("visit", v) %in% names(l)) { l[paste0("visit", v)] <- 1; l[paste0("base:visit", v)] <- m }; l }
# Kenward-Roger, linear in the elements of sigma, subject by subject
D <- lapply(1:10, function(k) sigma(replace(rep(0, 10), k, 1))); Wth <- solve(H)
kr <- { E <- 0; P <- lapply(1:10, function(i) 0); Q <- lapply(1:100, function(i) 0)
  for (s in names(ids)) { r <- ids[[s]]; x <- X[r, , drop = FALSE]; at <- d$k[r]; V <- solve(sigma(th)[at, at, drop = FALSE])
    for (i in 1:10) { A <- V %*% D[[i]][at, at] %*% V; P[[i]] <- P[[i]] + t(x) %*% A %*% x
      for (j in 1:10) Q[[10 * (i - 1) + j]] <- Q[[10 * (i - 1) + j]] + t(x) %*% A %*% D[[j]][at, at] %*% V %*% x } }
  for (i in 1:10) for (j in 1:10) E <- E + Wth[i, j] * (Q[[10 * (i - 1) + j]] - P[[i]] %*% C %*% P[[j]])
  C + 2 * C %*% E %*% C }
row <- function(l) list(estimate = sum(l * beta), std_error = sqrt(c(l %*% C %*% l)), df = df_of(l))
cr <- vcovCR(fits$unstructured, cluster = d$subject, type = "CR0"); crs <- vcovCR(fits$unstructured, cluster = d$site, type = "CR0")
ct <- coef_test(fits$unstructured, vcov = cr, test = "Satterthwaite"); cts <- coef_test(fits$unstructured, vcov = crs, test = "Satterthwaite")
wth <- pol(th, w); wq <- parts(sigma(wth), w); wb <- drop(solve(wq$A, wq$b))
meat <- Reduce(`+`, lapply(names(ids), function(i) { r <- ids[[i]]; u <- w[i] * t(X[r, , drop = FALSE]) %*% solve(sigma(wth)[d$k[r], d$k[r]]) %*% (y[r] - X[r, , drop = FALSE] %*% wb); u %*% t(u) }))
mlth <- pol(th, one, FALSE)
tv <- gls(update(formula, . ~ . + late_days), d, correlation = corSymm(form = ~k | subject), weights = varIdent(form = ~1 | visit), control = ctl)
out <- list(gls = lapply(fits, function(g) list(log_likelihood = c(logLik(g)), coef = as.list(coef(g)), std_error = as.list(sqrt(diag(vcov(g)))))),
  log_likelihood = -nll(th, one), sigma = sigma(th), coef = as.list(beta), std_error = as.list(setNames(sqrt(diag(C)), colnames(X))),
  df = as.list(setNames(apply(diag(p), 1, df_of), colnames(X))),
  kenward_roger = as.list(setNames(sqrt(diag(kr)), colnames(X))),
  contrasts = lapply(setNames(levels(d$visit), levels(d$visit)), function(v) list(b_a = row(contrast(v, "b", "a")), c_b = row(contrast(v, "c", "b")))),
  means = lapply(setNames(levels(d$visit), levels(d$visit)), function(v) list(a = row(mean_of(v, "a")), c = row(mean_of(v, "c")))),
  sandwich = list(std_error = as.list(setNames(ct$SE, colnames(X))), df = as.list(setNames(ct$df, colnames(X)))),
  sandwich_site = list(std_error = as.list(setNames(cts$SE, colnames(X))), df = as.list(setNames(cts$df, colnames(X)))),
  weighted = list(log_likelihood = -nll(wth, w), coef = as.list(setNames(wb, colnames(X))), std_error = as.list(setNames(sqrt(diag(solve(wq$A) %*% meat %*% solve(wq$A))), colnames(X)))),
  ml = list(log_likelihood = -nll(mlth, one, FALSE)),
  changing = list(log_likelihood = c(logLik(tv)), coef = as.list(coef(tv)), std_error = as.list(sqrt(diag(vcov(tv))))))
jsonlite::write_json(out, "mmrm.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
