"""Models shaped like scikit-learn's: settings in the constructor, `fit`, `predict`, learned values that end in an
underscore.
"""
