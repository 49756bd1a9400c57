package io.github.dl4jlora.internal.cost;

import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.footprint.Footprint;
import io.github.dl4jlora.footprint.Passage;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.adapted.AdaptedParameter;
import io.github.dl4jlora.internal.attention.AttentionForm;
import io.github.dl4jlora.internal.convolution.ConvolutionLayout;
import io.github.dl4jlora.internal.convolution.UnfoldedConvolution;
import io.github.dl4jlora.internal.engine.Kernels;
import io.github.dl4jlora.internal.frozen.FrozenLayers;
import io.github.dl4jlora.internal.kernel.PackedSlopes;
import io.github.dl4jlora.internal.onednn.Convolutions;
import io.github.dl4jlora.internal.onednn.OneDnn;
import io.github.dl4jlora.internal.stock.StockLayers;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.layers.BaseOutputLayer;
import org.deeplearning4j.nn.conf.layers.BaseRecurrentLayer;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.DepthwiseConvolution2D;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.SeparableConvolution2D;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.nd4j.linalg.api.buffer.DataType;

import java.util.List;
import java.util.Objects;

/** What layers hold that this library runs in DL4J's place. */
public final class OwnFootprints {

    private OwnFootprints() {
    }

    /**
     * The footprint of an adapted layer or vertex.
     *
     * @param inputGradient whether the gradient of its input is used
     * @param type          the network's data type
     */
    public static Footprint ofAdapted(AdaptedConfiguration lora, Passage passage, boolean inputGradient, DataType type) {
        Layer stock = lora.stockLayer();
        if (stock == null) {
            GraphVertex vertex = Objects.requireNonNull(lora.stockVertex());
            return Kernels.run(lora, type) ? attention(Objects.requireNonNull(AttentionForm.of(vertex)), lora.adapted(), passage)
                    : effective(lora, StockFootprints.of(vertex, passage));
        }
        if (!lora.single() && !Kernels.run(lora, type)) {
            return effective(lora, StockFootprints.of(stock, passage));
        }
        if (StockLayers.innermost(stock) instanceof BaseRecurrentLayer) {
            Footprint recurrent = recurrent(stock, lora, passage);
            return inputGradient || StockLayers.contains(stock, Bidirectional.class) ? recurrent
                    : withoutInputGradient(recurrent);
        }
        AttentionForm form = AttentionForm.of(stock);
        if (form != null) {
            Footprint attention = attention(form, lora.adapted(), passage);
            return inputGradient ? attention : withoutInputGradient(attention);
        }
        Footprint kernel = stock instanceof ConvolutionLayer convolution ? convolution(convolution, lora, passage, inputGradient)
                : stock instanceof BaseOutputLayer ? StockFootprints.output(stock, passage)
                : lookedUpOrMultiplied(stock, passage);
        Footprint all = kernel.plus(path(stock, lora, passage));
        return inputGradient ? all : withoutInputGradient(all);
    }

    private static Footprint withoutInputGradient(Footprint all) {
        return new Footprint(all.kept(), all.passing(), all.forward(), all.backward(), 0, all.loop(), all.standing(),
                all.beside());
    }

    /** The stock layer's, a copy of its weights, their gradient, and a copy of the adapter to notice changes. */
    private static Footprint effective(AdaptedConfiguration lora, Footprint stock) {
        long weights = lora.frozenParams();
        return stock.plus(new Footprint(0, 0, weights, 0).standing(weights + lora.layout().length(lora)));
    }

    /** Beside what each layer inside keeps, slim products and one step's arrays stand. */
    private static Footprint recurrent(Layer stock, AdaptedConfiguration lora, Passage passage) {
        long rows = passage.input().number() * StockFootprints.steps(passage);
        long slim = lora.adapted().stream().mapToLong(matrix -> matrix.rank() * rows).sum();
        return StockFootprints.of(stock, passage, (layer, own) -> steps(layer, own, true)).plus(Footprint.NONE.standing(slim));
    }

    /**
     * Gates, memory and outputs are kept for a backward pass, and the output that is passed on beside them; x is turned on both
     * ways.
     */
    private static Footprint steps(Layer layer, Passage passage, boolean keeps) {
        boolean simple = layer instanceof SimpleRnn;
        int gates = simple ? 1 : 4;
        int states = simple ? 1 : 2;
        long state = passage.input().number() * ((BaseRecurrentLayer) layer).getNOut();
        long sequence = state * StockFootprints.steps(passage);
        Footprint all = keeps ? new Footprint((gates + states + 1) * sequence + states * state, passage.in(),
                passage.in() + sequence, passage.in())
                : new Footprint(sequence, passage.in() + gates * sequence, 0, 0);
        return all.standing(state * (4 * gates + 8));
    }

    /**
     * Queries, keys, values and what is attended to are kept, and their gradients are held; inputs and dL/d(output) are turned
     * round. Of the scores those of one head stand. The gradient of a layer's one input is a sum of three.
     */
    private static Footprint attention(AttentionForm form, List<AdaptedParameter> adapted, Passage passage) {
        long queries = StockFootprints.steps(passage);
        long keys = StockFootprints.steps(passage.inputs().get(passage.inputs().size() - 1).type());
        long rows = passage.input().number() * Math.max(queries, keys);
        long projected = 2 * passage.input().number() * (queries + keys) * form.width();
        long shares = passage.inputs().size() == 1 ? 2 * passage.in() : 0;
        long slim = adapted.stream().mapToLong(matrix -> matrix.rank() * rows).max().orElse(0);
        return new Footprint(projected + passage.out(), passage.in(), passage.in() + passage.out() + projected + shares,
                passage.in()).standing(slim + 2 * queries * keys);
    }

    /** Nothing but the output is kept where no backward pass follows. */
    private static Footprint frozenAttention(AttentionForm form, Passage passage, boolean stops) {
        Footprint all = attention(form, List.of(), passage);
        return stops ? new Footprint(passage.out(), all.forward() + all.kept() - passage.out(), 0, 0).standing(all.standing())
                : all;
    }

    /** z is kept, and the activation beside it. */
    private static long results(Layer stock, Passage passage) {
        return (StockFootprints.isIdentity(stock) ? 1 : 2) * passage.out();
    }

    private static Footprint lookedUpOrMultiplied(Layer stock, Passage passage) {
        boolean multiplies = stock instanceof DenseLayer;
        long norm = stock instanceof DenseLayer dense && dense.hasLayerNorm() ? passage.out() : 0;
        return new Footprint(results(stock, passage) + norm, 0, multiplies ? 0 : passage.out(), multiplies ? passage.in() : 0);
    }

    /** A few megabytes of windows at a time; or, by oneDNN, what it has of input and output in a layout of its own. */
    private static Footprint convolution(ConvolutionLayer stock, Passage passage) {
        if (isDirect(stock, passage)) {
            return new Footprint(results(stock, passage), 0, 0, passage.in()).beside(passage.in() + passage.out());
        }
        if (stock instanceof DepthwiseConvolution2D || stock instanceof SeparableConvolution2D) {
            return StockFootprints.of(stock, passage);
        }
        long window = windowSize(stock) * positions(stock, passage) / passage.input().number();
        long chunk = window * UnfoldedConvolution.examplesAtATime(passage.input().number(), window * Float.BYTES);
        return new Footprint(results(stock, passage), chunk, chunk, passage.in());
    }

    private static boolean isDirect(ConvolutionLayer stock, Passage passage) {
        long channels = isTransposed(stock) ? stock.getNIn() : stock.getNOut();
        return !(stock instanceof SeparableConvolution2D)
                && Convolutions.take(positions(stock, passage) * channels * windowSize(stock));
    }

    private static boolean isTransposed(ConvolutionLayer stock) {
        return new ConvolutionLayout(stock).isTransposed();
    }

    /** A transposed convolution has windows of its output, one for each position of its input. */
    private static long positions(ConvolutionLayer stock, Passage passage) {
        return isTransposed(stock) ? passage.in() / stock.getNIn()
                : StockFootprints.positions(passage, stock.getNOut());
    }

    private static long windowSize(ConvolutionLayer stock) {
        long size = StockFootprints.windowSize(stock);
        return isTransposed(stock) ? size / stock.getNIn() * stock.getNOut()
                : stock instanceof DepthwiseConvolution2D ? size / stock.getNIn() : size;
    }

    private static Footprint convolution(ConvolutionLayer stock, AdaptedConfiguration lora, Passage passage,
                                         boolean inputGradient) {
        long positions = positions(stock, passage);
        int rank = lora.adapted().get(0).rank();
        long window = windowSize(stock);
        long b = rank * stock.getNOut();
        long ordered = new ConvolutionLayout(stock).isReordered() ? window * rank : 0;
        if (stock instanceof DepthwiseConvolution2D) {
            // W + s·A·B, and its gradient.
            return convolution(stock, passage).plus(new Footprint(0, window * stock.getNOut(), 2 * window * stock.getNOut(), 0));
        }
        if (isTransposed(stock)) {
            // W + s·A·B; unfold(dz)·Bᵀ and s·x·A.
            return convolution(stock, passage).plus(new Footprint(0, window * stock.getNIn() + ordered,
                    2 * positions * rank + 2 * ordered, 0));
        }
        // dz·Bᵀ of the whole batch, s·B and W + s·A·B; with windows that of one example.
        Footprint path = isDirect(stock, passage)
                ? new Footprint(positions * rank, b, positions * rank + b + (inputGradient ? window * stock.getNOut() : 0), 0)
                : new Footprint(positions * rank, 0, positions / passage.input().number() * rank, 0);
        return convolution(stock, passage).plus(path).plus(new Footprint(0, 0, ordered, 0));
    }

    /** x·A and dz·Bᵀ, and what variants and dropout need beside them. */
    private static Footprint path(Layer stock, AdaptedConfiguration lora, Passage passage) {
        LoRASettings settings = lora.settings();
        AdaptedParameter matrix = lora.adapted().get(0);
        boolean multiplies = stock instanceof DenseLayer || stock instanceof BaseOutputLayer;
        boolean convolves = stock instanceof ConvolutionLayer;
        long slim = StockFootprints.positions(passage, matrix.nOut()) * matrix.rank();
        long scaled = settings.variant().isAdditive() ? 0 : passage.out();
        // Words that are looked up are never dropped.
        long dropped = stock.getIDropout() == null || !multiplies && !convolves ? 0 : passage.in();
        long ownDropped = settings.loraDropout() > 0 ? 2 * passage.in() : 0;
        long start = settings.loraInit().isTakenFromW() ? slim : 0;
        long lookedUp = multiplies || convolves ? 0 : slim;
        return new Footprint(scaled + dropped + ownDropped + lookedUp, start, start + dropped + ownDropped / 2 + lookedUp, 0)
                .standing(multiplies ? 2 * slim : 0);
    }

    /**
     * The footprint of a frozen vertex.
     *
     * @param origin as the base configures it
     * @param alone  of the vertex as the base runs it
     * @param stops  whether nothing upstream trains
     */
    public static Footprint ofFrozen(GraphVertex origin, Passage passage, Footprint alone, boolean stops) {
        GraphVertex stock = StockLayers.unwrap(origin);
        return Kernels.exists(stock, passage.type())
                ? frozenAttention(Objects.requireNonNull(AttentionForm.of(stock)), passage, stops) : alone;
    }

    /**
     * The footprint of a frozen layer.
     *
     * @param origin as the base configures it
     * @param alone  of the layer as the base runs it
     * @param stops  whether nothing upstream trains
     */
    @SuppressWarnings("ReferenceEquality")
    public static Footprint ofFrozen(Layer origin, Passage passage, Footprint alone, boolean stops) {
        Layer stock = StockLayers.unwrap(origin);
        if (Kernels.haveSteps(stock, passage.type())) {
            AttentionForm form = AttentionForm.of(stock);
            return form != null ? frozenAttention(form, passage, stops)
                    : StockFootprints.of(stock, passage, (layer, own) -> steps(layer, own, !stops));
        }
        if (stock instanceof BatchNormalization) {
            Footprint norm = StockFootprints.norm(passage);
            return norm.kept() > passage.out() ? norm
                    : new Footprint(norm.kept(), 0, OneDnn.isUsed() ? 0 : passage.in(), passage.in());
        }
        if (stock instanceof BaseOutputLayer || !FrozenLayers.takesQuantized(stock, passage.type())) {
            return alone.plus(new Footprint(0, 0, StockLayers.numParams(stock), 0));
        }
        return stock instanceof ConvolutionLayer convolution ? convolution(convolution, passage)
                : stock instanceof DenseLayer dense ? multiplied(dense, passage)
                : stock == StockLayers.innermost(stock) ? lookedUpOrMultiplied(stock, passage) : alone;
    }

    /** Beside the output, z is kept, or its slopes in half the memory, from which dL/dz is computed. */
    private static Footprint multiplied(DenseLayer stock, Passage passage) {
        boolean packs = stock.getActivationFn() instanceof PackedSlopes able && able.packs(passage.type());
        long kept = StockFootprints.isIdentity(stock) ? 0 : packs ? (passage.out() + 1) / 2 : passage.out();
        return new Footprint(kept, 0, packs ? passage.out() : 0, passage.in()).passing(passage.out());
    }
}
