package io.github.dl4jlora.transformers;

import java.util.Arrays;
import java.util.random.RandomGenerator;

/**
 * Chooses a token by logits: the likeliest, or one at random after temperature, top-k and top-p, in this order, as
 * transformers' logits processors do.
 *
 * @param random      false: the likeliest token, whatever the rest says
 * @param temperature by which logits are divided
 * @param topK        how many of the likeliest tokens may be chosen, and others as likely as the last of them; 0 for all
 * @param topP        the likeliest tokens may be chosen up to the one with which their probabilities sum up to this (Holtzman et
 *                    al. 2019, arXiv:1904.09751); 1 for all
 */
record Sampling(boolean random, double temperature, int topK, double topP) {

    /** @param logits of all tokens, negative infinity for those that must not be chosen; will be overwritten */
    int choose(double[] logits, RandomGenerator source) {
        int likeliest = likeliest(logits);
        if (!random) {
            return likeliest;
        }
        toProbabilities(logits);
        double left = source.nextDouble();
        int chosen = likeliest;
        for (int token = 0; token < logits.length; token++) {
            if (logits[token] > 0) {
                chosen = token;
                left -= logits[token];
                if (left < 0) {
                    break;
                }
            }
        }
        return chosen;
    }

    /** The first of equals. */
    private static int likeliest(double[] logits) {
        int likeliest = 0;
        for (int token = 0; token < logits.length; token++) {
            if (Double.isNaN(logits[token]) || logits[token] == Double.POSITIVE_INFINITY) {
                throw new IllegalStateException("The logit of token " + token + " is " + logits[token] + ", so that there is no "
                        + "likeliest token. Do the network's weights have finite values? Adapters that were trained at too high "
                        + "a rate have not");
            }
            likeliest = logits[token] > logits[likeliest] ? token : likeliest;
        }
        if (logits[likeliest] == Double.NEGATIVE_INFINITY) {
            throw new IllegalStateException("No token may be chosen: all are stop tokens, and minNewTokens is not reached");
        }
        return likeliest;
    }

    /** Turns logits into the probabilities by which tokens are chosen, in place. */
    void toProbabilities(double[] logits) {
        for (int token = 0; token < logits.length; token++) {
            logits[token] /= temperature;
        }
        if (topK > 0 && topK < logits.length) {
            double least = sorted(logits)[logits.length - topK];
            for (int token = 0; token < logits.length; token++) {
                logits[token] = logits[token] < least ? Double.NEGATIVE_INFINITY : logits[token];
            }
        }
        softmax(logits);
        if (topP < 1) {
            keepNucleus(logits);
        }
    }

    private static double[] sorted(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        return sorted;
    }

    private static void softmax(double[] logits) {
        double largest = Arrays.stream(logits).max().orElseThrow();
        for (int token = 0; token < logits.length; token++) {
            logits[token] = Math.exp(logits[token] - largest);
        }
        normalize(logits);
    }

    private static void normalize(double[] probabilities) {
        double sum = Arrays.stream(probabilities).sum();
        for (int token = 0; token < probabilities.length; token++) {
            probabilities[token] /= sum;
        }
    }

    /** Of tokens as likely as the least likely one that is kept, the first are kept. */
    private void keepNucleus(double[] probabilities) {
        double[] sorted = sorted(probabilities);
        int kept = 0;
        for (double sum = 0; kept == 0 || kept < sorted.length && sum < topP; kept++) {
            sum += sorted[sorted.length - 1 - kept];
        }
        double least = sorted[sorted.length - kept];
        int equals = kept - (int) Arrays.stream(sorted).filter(probability -> probability > least).count();
        for (int token = 0; token < probabilities.length; token++) {
            if (probabilities[token] < least || probabilities[token] == least && equals-- <= 0) {
                probabilities[token] = 0;
            }
        }
        normalize(probabilities);
    }
}
