"""The Challenge's scores in plain Python loops, recording by recording and class by class, straight from the formulas.

It stands in for the official programs: the tests compare with it, and ``benchmarks/challenge_score.py`` times it.
"""

import math


def plain_scores(labels, outputs, probabilities, weights, normal, beta=2.0):
    """Return the macro scores of lists of lists, or of arrays, by name."""
    sinus = [[c == normal for c in range(len(row))] for row in labels]
    reached, best, nothing = (plain_credit(labels, answer, weights) for answer in (outputs, labels, sinus))
    f_beta, g_beta = plain_beta(labels, outputs, beta)
    aurocs, auprcs = plain_areas(labels, probabilities)
    return {
        "challenge": (reached - nothing) / (best - nothing) if best != nothing else 0.0,
        "accuracy": sum(list(a) == list(b) for a, b in zip(labels, outputs, strict=True)) / len(labels),
        "auroc": mean(aurocs),
        "auprc": mean(auprcs),
        "f1": mean(plain_f1(labels, outputs)),
        "f_beta": mean(f_beta),
        "g_beta": mean(g_beta),
    }


def mean(values):
    known = [v for v in values if not math.isnan(v)]
    return sum(known) / len(known) if known else math.nan


def plain_credit(labels, outputs, weights):
    classes = len(weights)
    confusion = [[0.0] * classes for _ in range(classes)]
    for truth, answer in zip(labels, outputs, strict=True):
        n = float(max(sum(bool(t or a) for t, a in zip(truth, answer, strict=True)), 1))
        for j in range(classes):
            if truth[j]:
                for k in range(classes):
                    if answer[k]:
                        confusion[j][k] += 1.0 / n
    return sum(weights[j][k] * confusion[j][k] for j in range(classes) for k in range(classes))


def plain_f1(labels, outputs):
    values = []
    for c in range(len(labels[0])):
        tp = fp = fn = 0
        for truth, answer in zip(labels, outputs, strict=True):
            tp += truth[c] and answer[c]
            fp += not truth[c] and answer[c]
            fn += truth[c] and not answer[c]
        values.append(2 * tp / (2 * tp + fp + fn) if tp + fp + fn else math.nan)
    return values


def plain_beta(labels, outputs, beta):
    f, g = [], []
    for c in range(len(labels[0])):
        tp = fp = fn = 0.0
        for truth, answer in zip(labels, outputs, strict=True):
            share = 1.0 / float(max(sum(truth), 1))
            if truth[c] and answer[c]:
                tp += share
            elif answer[c]:
                fp += share
            elif truth[c]:
                fn += share
        f.append((1 + beta**2) * tp / ((1 + beta**2) * tp + fp + beta**2 * fn) if tp + fp + fn else math.nan)
        g.append(tp / (tp + fp + beta * fn) if tp + fp + fn else math.nan)
    return f, g


def plain_areas(labels, probabilities):
    """Walk down the distinct thresholds of each class and add up trapezoids and steps."""
    aurocs, auprcs = [], []
    for c in range(len(labels[0])):
        pairs = sorted(((s[c], bool(y[c])) for y, s in zip(labels, probabilities, strict=True)), reverse=True)
        positives = sum(y for _, y in pairs)
        negatives = len(pairs) - positives
        tp = fp = area = precision = 0.0
        i = 0
        while i < len(pairs):
            before = tp, fp
            threshold = pairs[i][0]
            while i < len(pairs) and pairs[i][0] == threshold:
                tp, fp = tp + pairs[i][1], fp + (not pairs[i][1])
                i += 1
            area += (fp - before[1]) * (tp + before[0]) / 2
            precision += (tp - before[0]) * tp / (tp + fp)
        aurocs.append(area / positives / negatives if positives and negatives else math.nan)
        auprcs.append(precision / positives if positives else math.nan)
    return aurocs, auprcs
