"""The fold convention of every store, taken from PTB-XL: folds 1-8 train, 9 val, 10 test."""

TRAIN_FOLDS = tuple(range(1, 9))
VAL_FOLD = 9
TEST_FOLD = 10
