package io.github.dl4jlora.layer;

import io.github.dl4jlora.internal.adapted.OutputConfiguration;
import io.github.dl4jlora.internal.engine.DenseOutputRuntime;
import io.github.dl4jlora.internal.engine.KernelRuntime;
import io.github.dl4jlora.internal.stock.StockLayers;

import org.deeplearning4j.nn.conf.InputPreProcessor;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.BaseOutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.lossfunctions.ILossFunction;

import java.util.Objects;

/**
 * An {@code OutputLayer} or {@code RnnOutputLayer} of a base network with a low-rank path: {@link LoRADenseLayer} and the loss
 * in one layer, so that names and indices in the network stay what they were. Made by {@code LoRA.apply}.
 *
 * <p>It is a DenseLayer, although DL4J's output layers are not: all properties of its JSON, such as hasLayerNorm, and all code
 * that runs it are those of LoRADenseLayer. A separate class would repeat them, only to do without {@code own}.
 */
public final class AdaptedOutputLayer extends LoRADenseLayer implements OutputConfiguration {

    private static final long serialVersionUID = 1L;

    /** For Jackson and {@code LoRA.apply}. */
    public AdaptedOutputLayer() {
    }

    private BaseOutputLayer output() {
        return (BaseOutputLayer) StockLayers.unwrap(Objects.requireNonNull(getOrigin()));
    }

    @Override
    public ILossFunction lossFunction() {
        return output().getLossFn();
    }

    @Override
    public @Nullable RNNFormat sequenceFormat() {
        if (output() instanceof RnnOutputLayer sequence) {
            return sequence.getRnnDataFormat() == null ? RNNFormat.NCW : sequence.getRnnDataFormat();
        }
        return null;
    }

    @Override
    KernelRuntime newRuntime(NeuralNetConfiguration conf, DataType type) {
        return new DenseOutputRuntime(conf, type);
    }

    @Override
    public InputType getOutputType(int layerIndex, InputType inputType) {
        return output().getOutputType(layerIndex, own(inputType));
    }

    @Override
    public void setNIn(InputType inputType, boolean override) {
        output().setNIn(own(inputType), false);
    }

    @Override
    public InputPreProcessor getPreProcessorForInputType(InputType inputType) {
        return output().getPreProcessorForInputType(own(inputType));
    }

    /**
     * DL4J tells a DenseLayer that comes first in a MultiLayerNetwork that its input is flat, and this class is a subclass of
     * DenseLayer. A base that has flat input before its RnnOutputLayer has the preprocessor too, and keeps it.
     */
    private InputType own(InputType inputType) {
        RNNFormat format = sequenceFormat();
        return format != null && inputType instanceof InputType.InputTypeFeedForward ? InputType.recurrent(getNIn(), format)
                : inputType;
    }
}
