package io.github.dl4jlora.transformers.checkpoint;

import io.github.dl4jlora.transformers.Family;
import io.github.dl4jlora.transformers.Head;

import java.util.LinkedHashMap;
import java.util.Map;

/** The classes of transformers that can be read and written. */
public final class Architectures {

    private Architectures() {
    }

    /** {@return kinds of head by the name of the family's class for it} */
    public static Map<String, Head.Kind> of(Family family) {
        String name = name(family);
        Map<String, Head.Kind> classes = new LinkedHashMap<>();
        classes.put(name + "Model", Head.Kind.TOKEN_VECTORS);
        if (family.isCausal()) {
            classes.put(name + "LMHeadModel", Head.Kind.NEXT_WORD);
        } else {
            classes.put(name + "ForMaskedLM", Head.Kind.MASKED_WORDS);
        }
        classes.put(classifier(family), Head.Kind.CLASSIFIER);
        classes.put(tokenClassifier(family), Head.Kind.TOKEN_CLASSES);
        classes.put(name(family) + "ForQuestionAnswering", Head.Kind.ANSWER);
        return classes;
    }

    /** {@return the family's class for sequence classification} */
    static String classifier(Family family) {
        return name(family) + "ForSequenceClassification";
    }

    /** {@return the family's class for a class of each token} */
    static String tokenClassifier(Family family) {
        return name(family) + "ForTokenClassification";
    }

    /** {@return what the names of the family's classes begin with} */
    static String name(Family family) {
        return switch (family) {
            case BERT -> "Bert";
            case ROBERTA -> "Roberta";
            case DISTILBERT -> "DistilBert";
            case GPT2 -> "GPT2";
            case XLM_ROBERTA -> "XLMRoberta";
            case CAMEMBERT -> "Camembert";
            case MPNET -> "MPNet";
        };
    }
}
