"""The models of purchases and spend: likelihoods, slopes and expectations, one module a paper; their contract is stated
in `clvml.maths`.
"""
