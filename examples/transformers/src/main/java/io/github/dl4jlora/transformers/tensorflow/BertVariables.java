package io.github.dl4jlora.transformers.tensorflow;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;

/**
 * The variables of Google's BERT (https://github.com/google-research/bert, modeling.py and run_pretraining.py) and the names of
 * the same tensors in Hugging Face's format: {@code bert/encoder/layer_0/output/dense/kernel} is
 * {@code bert.encoder.layer.0.output.dense.weight}, transposed.
 *
 * @param tensors in the order of the network
 */
record BertVariables(Sizes sizes, List<Tensor> tensors) {

    private static final String WORDS = "bert/embeddings/word_embeddings";
    private static final String NEXT_SENTENCE = "cls/seq_relationship/output_weights";
    /** Width of each head, the same in all of Google's networks. */
    private static final int HEAD_WIDTH = 64;
    /** Variables of the optimizer. */
    private static final Pattern OF_TRAINING = Pattern.compile("(.*/)?(adam_m|adam_v|global_step)");
    private static final Pattern LAYER = Pattern.compile("/layer_([0-9]+)/");

    /** Sizes of the network that follow from the shapes. */
    record Sizes(long vocabulary, long positions, long types, long hidden, long intermediate, int layers) {

        long heads() {
            return hidden / HEAD_WIDTH;
        }
    }

    /**
     * One tensor in both formats.
     *
     * @param variable TensorFlow's name
     * @param turned   whether TensorFlow has it as {@code [in, out]}
     * @param shape    with Hugging Face
     */
    record Tensor(String variable, String name, boolean turned, long[] shape) {
    }

    /**
     * @throws IOException if these are not exactly the variables of a BERT with its masked-language-model head, or one has
     *                     another shape than the others say
     */
    static BertVariables of(TensorBundle bundle) throws IOException {
        Set<String> names = new TreeSet<>(bundle.names());
        String scope = names.stream().filter(name -> name.equals(WORDS) || name.endsWith("/" + WORDS)).findFirst()
                .map(name -> name.substring(0, name.length() - WORDS.length()))
                .orElseThrow(() -> new IOException(bundle + " contains no BERT: it has no variable " + WORDS));
        Listing listing = new Listing(scope, sizes(bundle, scope, names));
        listing.addAll(names.contains(scope + NEXT_SENTENCE));
        for (Tensor tensor : listing.tensors) {
            long[] expected = tensor.turned ? new long[] {tensor.shape[1], tensor.shape[0]} : tensor.shape;
            long[] found = bundle.shape(tensor.variable);
            if (!Arrays.equals(found, expected)) {
                throw new IOException(bundle + ": variable \"" + tensor.variable + "\" has the shape " + Arrays.toString(found)
                        + ", but according to the others it should have " + Arrays.toString(expected));
            }
            names.remove(tensor.variable);
        }
        names.removeIf(name -> OF_TRAINING.matcher(name).matches());
        if (!names.isEmpty()) {
            throw new IOException(bundle + " has variables that no BERT has: " + names);
        }
        return new BertVariables(listing.sizes, listing.tensors);
    }

    long parameters() {
        return tensors.stream().mapToLong(tensor -> Arrays.stream(tensor.shape).reduce(1, Math::multiplyExact)).sum();
    }

    private static Sizes sizes(TensorBundle bundle, String scope, Set<String> names) throws IOException {
        long[] words = matrix(bundle, scope + WORDS);
        int layers = 0;
        while (names.contains(scope + "bert/encoder/layer_" + layers + "/intermediate/dense/kernel")) {
            layers++;
        }
        if (words[1] % HEAD_WIDTH != 0 || layers == 0) {
            throw new IOException(bundle + " has " + layers + " layers and a hidden size of " + words[1]
                    + "; Google's BERT has at least one layer, and heads of width " + HEAD_WIDTH);
        }
        return new Sizes(words[0], matrix(bundle, scope + "bert/embeddings/position_embeddings")[0],
                matrix(bundle, scope + "bert/embeddings/token_type_embeddings")[0], words[1],
                matrix(bundle, scope + "bert/encoder/layer_0/intermediate/dense/kernel")[1], layers);
    }

    private static long[] matrix(TensorBundle bundle, String name) throws IOException {
        long[] shape = bundle.shape(name);
        if (shape.length != 2) {
            throw new IOException(bundle + ": variable \"" + name + "\" has the shape " + Arrays.toString(shape)
                    + ", expected a matrix");
        }
        return shape;
    }

    /** Lists all tensors, in order. */
    private static final class Listing {

        private final String scope;
        private final Sizes sizes;
        private final List<Tensor> tensors = new ArrayList<>();

        Listing(String scope, Sizes sizes) {
            this.scope = scope;
            this.sizes = sizes;
        }

        void addAll(boolean nextSentence) {
            long hidden = sizes.hidden;
            add(WORDS, sizes.vocabulary, hidden);
            add("bert/embeddings/position_embeddings", sizes.positions, hidden);
            add("bert/embeddings/token_type_embeddings", sizes.types, hidden);
            addNorm("bert/embeddings");
            for (int layer = 0; layer < sizes.layers; layer++) {
                addLayer("bert/encoder/layer_" + layer);
            }
            addDense("bert/pooler/dense", hidden, hidden);
            addDense("cls/predictions/transform/dense", hidden, hidden);
            addNorm("cls/predictions/transform");
            add("cls/predictions/output_bias", sizes.vocabulary);
            if (nextSentence) {
                add(NEXT_SENTENCE, 2, hidden);
                add("cls/seq_relationship/output_bias", 2);
            }
        }

        private void addLayer(String layer) {
            for (String projection : List.of("query", "key", "value")) {
                addDense(layer + "/attention/self/" + projection, sizes.hidden, sizes.hidden);
            }
            addDense(layer + "/attention/output/dense", sizes.hidden, sizes.hidden);
            addNorm(layer + "/attention/output");
            addDense(layer + "/intermediate/dense", sizes.intermediate, sizes.hidden);
            addDense(layer + "/output/dense", sizes.hidden, sizes.intermediate);
            addNorm(layer + "/output");
        }

        private void addDense(String at, long out, long in) {
            add(at + "/kernel", out, in);
            add(at + "/bias", out);
        }

        private void addNorm(String in) {
            add(in + "/LayerNorm/gamma", sizes.hidden);
            add(in + "/LayerNorm/beta", sizes.hidden);
        }

        private void add(String variable, long... shape) {
            tensors.add(new Tensor(scope + variable, name(variable), variable.endsWith("/kernel"), shape));
        }
    }

    private static String name(String variable) {
        return LAYER.matcher(variable).replaceAll("/layer.$1/").replace('/', '.')
                .replaceFirst("_embeddings$", "_embeddings.weight").replaceFirst("\\.(kernel|gamma|output_weights)$", ".weight")
                .replaceFirst("\\.(beta|output_bias)$", ".bias");
    }
}
