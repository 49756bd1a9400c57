package io.github.dl4jlora.internal.start;

import io.github.dl4jlora.internal.convolution.ConvolutionLayout;
import io.github.dl4jlora.internal.convolution.Windows;
import io.github.dl4jlora.internal.kernel.MaskedSteps;
import io.github.dl4jlora.variant.LayerWeights;
import io.github.dl4jlora.variant.OutputScale;
import io.github.dl4jlora.variant.Parameter;
import io.github.dl4jlora.variant.PlainLoRA;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.workspace.ArrayType;
import org.deeplearning4j.nn.workspace.LayerWorkspaceMgr;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.List;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * A variant of LoRA that changes nothing, but shows an observer the inputs of a layer in test mode, and inputs and dL/dz in a
 * backward pass. So every adapted layer can be watched, whatever computes it.
 */
public final class ObservingVariant implements Variant {

    private static final long serialVersionUID = 1L;
    private static final Variant PLAIN = new PlainLoRA();

    /** Sees inputs and gradients. */
    public interface Observer {

        /**
         * Of a pass of inference.
         *
         * @param rows {@code [m, nIn]}, those that count; a copy; null: none counts
         */
        void input(@Nullable INDArray rows);

        /**
         * Of a backward pass, where masks have set to zero what does not count.
         *
         * @param rows {@code [m, nIn]}
         * @param dz   dL/d(x·W) {@code [m, nOut]}
         */
        void gradient(INDArray rows, INDArray dz);
    }

    private final transient Observer observer;
    private final transient @Nullable ConvolutionLayer convolution;

    /**
     * @param stock the stock layer, out of freezing wrappers
     */
    public ObservingVariant(Observer observer, org.deeplearning4j.nn.conf.layers.Layer stock) {
        this.observer = observer;
        this.convolution = stock instanceof ConvolutionLayer found ? found : null;
    }

    @Override
    public String name() {
        return "watched";
    }

    @Override
    public List<Parameter> parameters(long nIn, long nOut, int rank) {
        return PLAIN.parameters(nIn, nOut, rank);
    }

    @Override
    public boolean isForConvolutionsAndEmbeddings() {
        return true;
    }

    @Override
    public OutputScale scale(LayerWeights layer) {
        Layer running = (Layer) layer;
        return new OutputScale() {

            @Override
            public void forward(INDArray p, boolean training, LayerWorkspaceMgr workspaces) {
                if (!training) {
                    try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
                        observer.input(counted(rows(running.input()), mask(running)));
                    }
                }
            }

            @Override
            public INDArray backward(INDArray dz, Function<String, INDArray> gradients) {
                try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
                    observer.gradient(running.input().castTo(dz.dataType()), dz);
                }
                return dz;
            }

            @Override
            public boolean isReady() {
                return true;
            }

            @Override
            public void forget() {
                // Nothing is kept.
            }
        };
    }

    /** What is multiplied by W: the input, or its windows. */
    private INDArray rows(INDArray input) {
        if (convolution == null) {
            return input.dup();
        }
        INDArray x = new ConvolutionLayout(convolution).channelsFirst(input, ArrayType.INPUT,
                LayerWorkspaceMgr.noWorkspacesImmutable());
        return Windows.of(convolution, x).rows(x);
    }

    private static @Nullable INDArray mask(Layer running) {
        return running instanceof MaskedSteps steps ? steps.stepMask() : running.getMaskArray();
    }

    /** Without the rows that a mask leaves out. */
    private static @Nullable INDArray counted(INDArray rows, @Nullable INDArray mask) {
        if (mask == null) {
            return rows;
        }
        INDArray flags = mask.dup('c').reshape('c', rows.size(0), mask.length() / rows.size(0)).amax(1);
        int[] counted = IntStream.range(0, Math.toIntExact(rows.size(0))).filter(row -> flags.getDouble(row) != 0).toArray();
        return counted.length == rows.size(0) ? rows : counted.length == 0 ? null : Nd4j.pullRows(rows, 1, counted);
    }
}
