"""The models of purchases and spend: likelihoods, slopes and expectations, one module a paper."""
