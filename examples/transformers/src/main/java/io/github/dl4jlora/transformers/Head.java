package io.github.dl4jlora.transformers;

import java.util.List;

/**
 * What a network is for: what goes on top of the token vectors.
 *
 * @param kind    which
 * @param classes classes, labels or values that it has an output for; 0 for kinds that have no such number
 * @param pairs   whether it reads pairs of texts, as an answer's always does: then a network whose shape tells texts apart by
 *                token types, {@link TransformerShape#hasTextTypes}, has a second input of these types
 */
public record Head(Kind kind, int classes, boolean pairs) {

    /** The kinds of head. */
    public enum Kind {
        /** None: the vectors of all tokens, {@code [minibatch · tokens, hidden]}. */
        TOKEN_VECTORS,
        /** The mean of a text's token vectors, {@code [minibatch, hidden]}. */
        MEAN_POOLING,
        /** A text's first token vector, BERT's [CLS], {@code [minibatch, hidden]}. */
        FIRST_TOKEN,
        /** The largest value of a text's token vectors in each place, {@code [minibatch, hidden]}. */
        MAX_POOLING,
        /** BERT's pooler: a dense layer with tanh on a text's first token, {@code [minibatch, hidden]}. */
        POOLER,
        /** Probabilities of classes, {@code [minibatch, classes]}. */
        CLASSIFIER,
        /** Any numbers, {@code [minibatch, classes]}, with the squared error as loss; mostly one number. */
        REGRESSION,
        /** Probabilities of labels, each by itself, {@code [minibatch, classes]}; one label is a reranker's relevance. */
        MULTI_LABEL,
        /** Probabilities of classes of each token, {@code [minibatch · tokens, classes]}. */
        TOKEN_CLASSES,
        /** Scores of tokens as the first and as the last of an answer, {@code [minibatch, 2·tokens]}. */
        ANSWER,
        /** Logits of the words that were masked, {@code [minibatch · tokens, vocabulary]}. */
        MASKED_WORDS,
        /** The same, only for the tokens that a second input names, {@code [minibatch · k, vocabulary]}. */
        MASKED_WORDS_AT_POSITIONS,
        /** Logits of each token's successor, {@code [minibatch · tokens, vocabulary]}. */
        NEXT_WORD
    }

    /**
     * @throws IllegalArgumentException if a classifier of texts or tokens has less than two classes, a regression less than one
     *                                  value, labels are less than one, or another head has any
     */
    public Head {
        pairs = pairs || kind == Kind.ANSWER;
        int least = fewest(kind);
        if (least == 0 ? classes != 0 : classes < least) {
            throw new IllegalArgumentException("A head of kind " + kind + " with " + classes + " classes: a classifier has at "
                    + "least 2, a regression and labels at least 1, any other head 0");
        }
    }

    /** Of single texts, {@link #ofPairs} for pairs. */
    public Head(Kind kind, int classes) {
        this(kind, classes, false);
    }

    /** {@return the least number of classes of a kind} */
    public static int fewest(Kind kind) {
        return switch (kind) {
            case CLASSIFIER, TOKEN_CLASSES -> 2;
            case REGRESSION, MULTI_LABEL -> 1;
            default -> 0;
        };
    }

    /** {@return the same of pairs of texts} */
    public Head ofPairs() {
        return new Head(kind, classes, true);
    }

    /** {@return no head: the vectors of all tokens} */
    public static Head tokenVectors() {
        return new Head(Kind.TOKEN_VECTORS, 0);
    }

    /** {@return the mean of a text's token vectors} */
    public static Head meanPooling() {
        return new Head(Kind.MEAN_POOLING, 0);
    }

    /** {@return a text's first token vector, as in BGE} */
    public static Head firstToken() {
        return new Head(Kind.FIRST_TOKEN, 0);
    }

    /** {@return the largest value of a text's token vectors in each place} */
    public static Head maxPooling() {
        return new Head(Kind.MAX_POOLING, 0);
    }

    /** {@return the pooler of BERT and of RoBERTa and its kin} */
    public static Head pooler() {
        return new Head(Kind.POOLER, 0);
    }

    /** {@return the family's head for sequence classification} */
    public static Head classifier(int classes) {
        return new Head(Kind.CLASSIFIER, classes);
    }

    /**
     * {@return the family's head for sequence classification, for numbers instead of classes, such as a similarity or a price}
     *
     * @param values how many numbers of each text, mostly 1
     */
    public static Head regression(int values) {
        return new Head(Kind.REGRESSION, values);
    }

    /** {@return the family's head for sequence classification, for labels of which a text may have any number} */
    public static Head multiLabel(int labels) {
        return new Head(Kind.MULTI_LABEL, labels);
    }

    /** {@return one label of a pair: the probability that the second text, a passage, answers the first, a query} */
    public static Head reranker() {
        return multiLabel(1).ofPairs();
    }

    /** {@return a class for each token, such as the kind of name that it is part of} */
    public static Head tokenClassifier(int classes) {
        return new Head(Kind.TOKEN_CLASSES, classes);
    }

    /** {@return where in the second text of a pair the answer to the first, a question, begins and ends} */
    public static Head questionAnswering() {
        return new Head(Kind.ANSWER, 0);
    }

    /**
     * {@return the layers that it adds to the pretrained model, the output layer last; none for heads that are pretrained}
     *
     * @param family whose names they have
     */
    public List<String> layers(Family family) {
        return Heads.layers(family, kind);
    }

    /** {@return the masked language model, with logits for every token} */
    public static Head maskedWords() {
        return new Head(Kind.MASKED_WORDS, 0);
    }

    /**
     * {@return the masked language model, with logits for the tokens that a second input names, so that training does not
     * compute those of all others}
     */
    public static Head maskedWordsAtPositions() {
        return new Head(Kind.MASKED_WORDS_AT_POSITIONS, 0);
    }

    /** {@return the causal language model} */
    public static Head nextWord() {
        return new Head(Kind.NEXT_WORD, 0);
    }

    /** {@return what the names of the model's modules begin with: the family's prefix, or nothing for the bare model} */
    public String prefix(Family family) {
        return switch (kind) {
            case TOKEN_VECTORS, MEAN_POOLING, FIRST_TOKEN, MAX_POOLING, POOLER -> "";
            default -> family.prefix();
        };
    }

    boolean isLanguageModel() {
        return kind == Kind.MASKED_WORDS || kind == Kind.MASKED_WORDS_AT_POSITIONS || kind == Kind.NEXT_WORD;
    }
}
