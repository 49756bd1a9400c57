package io.github.dl4jlora.models.bert;

import io.github.dl4jlora.models.encoder.Tokenizer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.ops.transforms.Transforms;

import java.io.IOException;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;

/**
 * A word that a masked language model would put where a text says [MASK].
 *
 * @param probability of all words of the vocabulary
 */
record Guess(String word, double probability) {

    private static final String MASK = "[MASK]";

    /**
     * @param network   with a second input, the positions that are to be told
     * @param most      how many words for each place
     * @return the likeliest first, for each place in the text
     * @throws IOException if the text has no such place, or it is beyond what the tokenizer reads of a text
     */
    static List<List<Guess>> of(ComputationGraph network, Tokenizer tokenizer, String text, int most) throws IOException {
        String hole = tokenizer.mask();
        int[] ids = tokenizer.ids(text.replace(MASK, hole));
        int mask = tokenizer.id(hole);
        int[] places = IntStream.range(0, ids.length).filter(i -> ids[i] == mask).toArray();
        if (places.length == 0) {
            throw new IOException("There is no " + MASK + " in the first " + tokenizer.maxTokens() + " tokens of \"" + text
                    + "\": write it where a word is to be told");
        }
        INDArray positions = Nd4j.createFromArray(places).castTo(Nd4j.defaultFloatingPointType()).reshape(1, places.length);
        INDArray probabilities = Transforms.softmax(network.output(Tokenizer.padded(List.of(ids)), positions)[0]);
        return Arrays.stream(probabilities.toFloatMatrix()).map(words -> best(words, tokenizer, most)).toList();
    }

    private static List<Guess> best(float[] words, Tokenizer tokenizer, int most) {
        return IntStream.range(0, words.length).boxed().sorted(Comparator.comparingDouble(id -> -words[id])).limit(most)
                .map(id -> new Guess(tokenizer.token(id), words[id])).toList();
    }

    @Override
    public String toString() {
        return String.format(Locale.ROOT, "%s %.3f", word, probability);
    }
}
