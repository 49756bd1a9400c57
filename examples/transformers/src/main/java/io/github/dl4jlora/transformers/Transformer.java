package io.github.dl4jlora.transformers;

import io.github.dl4jlora.transformers.layer.LayerNormalization;
import io.github.dl4jlora.transformers.layer.ModuleNames;
import io.github.dl4jlora.transformers.layer.MultiHeadAttention;
import io.github.dl4jlora.transformers.layer.RelativeAttentionBias;
import io.github.dl4jlora.transformers.layer.TokenEmbeddings;
import io.github.dl4jlora.transformers.layer.TypedIds;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.weights.WeightInit;
import org.nd4j.linalg.activations.IActivation;
import org.nd4j.linalg.activations.impl.ActivationIdentity;

/**
 * Adds a transformer to a graph, with its layers named as PyTorch names the modules of Hugging Face's class for that head:
 * {@code encoder.layer.0.attention.self.query} in BertModel, {@code bert.encoder.layer.0.attention.self.query} below a head.
 */
public final class Transformer {

    /** Token ids {@code [minibatch, tokens]}, the first input. */
    public static final String INPUT_IDS = "input_ids";
    /**
     * Types of tokens {@code [minibatch, tokens]}, 0 in a first text and 1 in a second: the second input of networks that read
     * pairs, if their shape {@link TransformerShape#hasTextTypes() has types} for them.
     */
    public static final String TOKEN_TYPE_IDS = "token_type_ids";
    /** Which tokens of a text were masked, {@code [minibatch, k]}, counted from 0; the last input where there is one. */
    public static final String MASKED_POSITIONS = "masked_positions";
    /** Sum of word, position and type embeddings: {@code W}, {@code P} and {@code T} of one layer. After the prefix. */
    public static final String EMBEDDINGS = ModuleNames.EMBEDDINGS;
    /** A text's vector, made of its token vectors by a {@link Pooling}, {@code [minibatch, hidden]}. */
    public static final String POOLING = "pooling";
    /**
     * The blocks of any of these transformers, for {@code LoRAConfig.builder().recompute(Transformer.BLOCKS)}: what the first
     * starts from, and the output of each.
     */
    public static final String BLOCKS = "(.*\\.)?(" + ModuleNames.EMBEDDINGS + "(\\.LayerNorm)?"
            + "|layer\\.\\d+\\.(output\\.LayerNorm|output_layer_norm)|h\\.\\d+\\.mlp\\.c_proj\\.sum)";
    /**
     * Queries and values of any of these transformers, where Hu et al. 2021, arXiv:2106.09685, section 4.2, have adapters, for
     * {@code LoRAConfig.builder().targets(Transformer.QUERY_VALUE)}. In GPT-2, keys are in the same matrix.
     */
    public static final String QUERY_VALUE = ".*\\b(layer|h)\\.\\d+\\..*(query|value|q_lin|v_lin|attn\\.[qv]|c_attn)";
    /** The output of a language model. */
    public static final String LOGITS = "logits";

    /** The output of a classifier of tokens. */
    public static final String TOKEN_CLASSES = "token_classes";
    /** The output of question answering. */
    public static final String ANSWER = "answer";

    private static final String TYPED_IDS = "typed_ids";
    private static final String RELATIVE = "encoder.relative_attention_bias";

    private final GraphBuilder graph;
    private final TransformerShape shape;
    private final Family family;
    private final String prefix;

    Transformer(GraphBuilder graph, TransformerShape shape, String prefix) {
        this.graph = graph;
        this.shape = shape;
        this.family = shape.family();
        this.prefix = prefix;
    }

    /**
     * Adds inputs, transformer and head, and sets the head's output as the graph's. To put a custom head on top, call
     * {@code setOutputs} again. A head of pairs has the types of tokens as its second input, if the shape has them.
     *
     * @throws IllegalArgumentException if the family has no such head
     */
    public static GraphBuilder addTo(GraphBuilder graph, TransformerShape shape, Head head) {
        Heads heads = new Heads(graph, shape, head);
        graph.addInputs(INPUT_IDS);
        String ids = INPUT_IDS;
        if (head.pairs() && shape.hasTextTypes()) {
            graph.addInputs(TOKEN_TYPE_IDS);
            graph.addVertex(TYPED_IDS, new TypedIds(), TOKEN_TYPE_IDS, INPUT_IDS);
            ids = TYPED_IDS;
        }
        String rows = new Transformer(graph, shape, head.prefix(shape.family())).tokenVectors(ids);
        return graph.setOutputs(heads.on(rows));
    }

    /** {@return the name of what {@link #addTo} sets as the output, which is the input of a custom head} */
    public static String output(TransformerShape shape, Head head) {
        return switch (head.kind()) {
            case TOKEN_VECTORS -> tokenVectors(shape);
            case MEAN_POOLING, FIRST_TOKEN, MAX_POOLING -> POOLING;
            case POOLER -> "pooler.dense";
            case CLASSIFIER, REGRESSION, MULTI_LABEL -> Heads.classifier(shape.family());
            case TOKEN_CLASSES -> TOKEN_CLASSES;
            case ANSWER -> ANSWER;
            case MASKED_WORDS, MASKED_WORDS_AT_POSITIONS, NEXT_WORD -> LOGITS;
        };
    }

    private static String tokenVectors(TransformerShape shape) {
        int last = shape.layers() - 1;
        return switch (shape.family()) {
            case BERT, ROBERTA, XLM_ROBERTA, CAMEMBERT, MPNET -> shape.family().name(last, "output.LayerNorm");
            case DISTILBERT -> shape.family().name(last, "output_layer_norm");
            case GPT2 -> "ln_f";
        };
    }

    private String tokenVectors(String ids) {
        String last = add(EMBEDDINGS);
        graph.addLayer(last, new TokenEmbeddings.Builder(shape.vocabulary(), shape.positions(), shape.hidden())
                .types(shape.tokenTypes()).padding(shape.padding())
                .positionsFromPadding(family.countsPositionsFromPadding()).names(family.names())
                .typed(ids.equals(TYPED_IDS)).build(), ids);
        if (family == Family.GPT2) {
            for (int layer = 0; layer < shape.layers(); layer++) {
                last = normFirst(layer, last);
            }
            return norm(add("ln_f"), last);
        }
        last = norm(add("embeddings.LayerNorm"), last);
        Modules modules = Modules.of(family);
        if (family.hasRelativePositions()) {
            graph.addLayer(add(RELATIVE), new RelativeAttentionBias(shape.hidden(), shape.heads()), last);
            last = add(RELATIVE);
        }
        for (int layer = 0; layer < shape.layers(); layer++) {
            last = normLast(layer, last, modules);
        }
        return last;
    }

    /** The modules of a block that normalises last. */
    private record Modules(String query, String key, String value, String attention, String mixed, String mixedNorm,
                           String narrow, String narrowNorm) {

        static final Modules BERT = new Modules("attention.self.query", "attention.self.key", "attention.self.value",
                "attention.self", "attention.output.dense", "attention.output.LayerNorm", "output.dense", "output.LayerNorm");
        static final Modules DISTILBERT = new Modules("attention.q_lin", "attention.k_lin", "attention.v_lin", "attention",
                "attention.out_lin", "sa_layer_norm", "ffn.lin2", "output_layer_norm");
        static final Modules MPNET = new Modules("attention.attn.q", "attention.attn.k", "attention.attn.v", "attention.attn",
                "attention.attn.o", "attention.LayerNorm", "output.dense", "output.LayerNorm");

        static Modules of(Family family) {
            return family == Family.DISTILBERT ? DISTILBERT : family == Family.MPNET ? MPNET : BERT;
        }
    }

    /** norm(x + attention(x)), then norm of that and its feed-forward part. */
    private String normLast(int layer, String x, Modules modules) {
        int hidden = shape.hidden();
        String query = dense(name(layer, modules.query), x, hidden, hidden);
        String key = dense(name(layer, modules.key), x, hidden, hidden);
        String value = dense(name(layer, modules.value), x, hidden, hidden);
        String heads = name(layer, modules.attention);
        graph.addVertex(heads, new MultiHeadAttention(shape.heads(), false, false, shape.padding(),
                family.hasRelativePositions() ? add(RELATIVE) : null), query, key, value,
                INPUT_IDS);
        String mixed = dense(name(layer, modules.mixed), heads, hidden, hidden);
        String attended = norm(name(layer, modules.mixedNorm), sum(mixed + ".sum", mixed, x));
        String narrow = feedForward(layer, modules.narrow, attended);
        return norm(name(layer, modules.narrowNorm), sum(narrow + ".sum", narrow, attended));
    }

    /** y = x + attention(norm(x)), then y + feed-forward part of norm(y). */
    private String normFirst(int layer, String x) {
        int hidden = shape.hidden();
        String first = norm(name(layer, "ln_1"), x);
        String joint = dense(name(layer, "attn.c_attn"), first, hidden, 3 * hidden);
        String heads = name(layer, "attn");
        graph.addVertex(heads, new MultiHeadAttention(shape.heads(), true, true, shape.padding()), joint, INPUT_IDS);
        String mixed = dense(name(layer, "attn.c_proj"), heads, hidden, hidden);
        String attended = sum(mixed + ".sum", mixed, x);
        String second = norm(name(layer, "ln_2"), attended);
        String narrow = feedForward(layer, "mlp.c_proj", second);
        return sum(narrow + ".sum", narrow, attended);
    }

    private String feedForward(int layer, String narrow, String x) {
        String between = dense(graph, name(layer, family.wide()), x, shape.hidden(), shape.intermediate(),
                shape.activation().activation());
        return dense(name(layer, narrow), between, shape.intermediate(), shape.hidden());
    }

    private String name(int layer, String part) {
        return add(family.name(layer, part));
    }

    private String add(String name) {
        return prefix + name;
    }

    private String dense(String name, String input, int nIn, int nOut) {
        return dense(graph, name, input, nIn, nOut, new ActivationIdentity());
    }

    static String dense(GraphBuilder graph, String name, String input, int nIn, int nOut, IActivation activation) {
        graph.addLayer(name, new DenseLayer.Builder().nIn(nIn).nOut(nOut).weightInit(WeightInit.XAVIER)
                .activation(activation).build(), input);
        return name;
    }

    private String norm(String name, String input) {
        graph.addLayer(name, new LayerNormalization(shape.hidden(), shape.epsilon()), input);
        return name;
    }

    private String sum(String name, String... inputs) {
        graph.addVertex(name, new ElementWiseVertex(ElementWiseVertex.Op.Add), inputs);
        return name;
    }
}
