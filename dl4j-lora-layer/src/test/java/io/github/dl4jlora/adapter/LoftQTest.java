package io.github.dl4jlora.adapter;

import io.github.dl4jlora.LayerChains;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.algebra.Svd;
import io.github.dl4jlora.internal.stock.MatrixForm;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.util.Arrays;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** The start from what quantising loses: the best that its rank can do. */
class LoftQTest {

    private static final int RANK = 2;

    private static MultiLayerNetwork network(InputType input, Layer... layers) {
        return Networks.of(LayerChains.builder().list(layers).setInputType(input).build());
    }

    private static MultiLayerNetwork dense() {
        return network(InputType.feedForward(9), LayerChains.named(LayerChains.dense(12), "x"), LayerChains.output("out"));
    }

    private static LoRAConfig.Builder config(Quantization scheme) {
        return LoRAConfig.builder().rank(RANK).alpha(3).targets(".*").quantize(scheme).loraInit(LoRAInit.LOFTQ);
    }

    /** W − Q(W) and s·A·B of an adapted layer, as matrices. */
    private record Start(INDArray lost, INDArray product) {

        static Start of(MultiLayerNetwork base, MultiLayerNetwork adapted, int layer) {
            AdaptedConfiguration lora = (AdaptedConfiguration) adapted.getLayer(layer).conf().getLayer();
            MatrixForm form = lora.matrices().forms().get("W");
            INDArray before = form.viewOf(base.getParam(layer + "_W"));
            INDArray after = form.viewOf(LoRA.unload(adapted).getParam(layer + "_W"));
            Map<String, INDArray> table = adapted.paramTable();
            INDArray product = table.get(layer + "_" + Variant.A).mmul(table.get(layer + "_" + Variant.B))
                    .muli(lora.adapted().get(0).factor());
            return new Start(before.sub(after), product);
        }

        double left() {
            return lost.sub(product).norm2Number().doubleValue();
        }

        /** What the best matrix of that rank leaves, by Eckart and Young. */
        double leastLeft() {
            return Math.sqrt(Arrays.stream(Svd.of(lost).values()).skip(RANK).map(value -> value * value).sum());
        }
    }

    @ParameterizedTest
    @EnumSource
    void isTheBestOfItsRank(Quantization scheme) {
        MultiLayerNetwork base = dense();
        MultiLayerNetwork adapted = LoRA.apply(base, config(scheme).build());
        for (int layer = 0; layer < 2; layer++) {
            Start start = Start.of(base, adapted, layer);
            assertThat(start.left()).isCloseTo(start.leastLeft(), within(1e-9 * start.lost.norm2Number().doubleValue()));
            assertThat(start.left()).isLessThan(0.95 * start.lost.norm2Number().doubleValue());
        }
    }

    @Test
    void iteratedComesCloseToTheBest() {
        MultiLayerNetwork base = dense();
        Start start = Start.of(base, LoRA.apply(base, config(Quantization.NF4).pissaIterations(4).build()), 0);

        assertThat(start.left()).isBetween(start.leastLeft() * (1 - 1e-9), start.leastLeft() * 1.05);
    }

    @Test
    void isTheSameForTheSameSeed() {
        MultiLayerNetwork base = dense();
        LoRAConfig config = config(Quantization.NF4).pissaIterations(2).seed(5L).build();

        assertThat(LoRA.apply(base, config).params()).isEqualTo(LoRA.apply(base, config).params());
    }

    @Test
    void sequencesStartCloserToTheOriginal() {
        MultiLayerNetwork base = network(InputType.recurrent(5, 4), LayerChains.named(new LSTM.Builder().nOut(8).build(), "rnn"),
                new RnnOutputLayer.Builder().nOut(3).name("out").build());
        LoRAConfig.Builder head = LoRAConfig.builder().rank(RANK).alpha(3).targets("out").quantize(Quantization.NF4);
        INDArray features = Networks.random(DataType.DOUBLE, 5, 3, 5, 4);
        INDArray original = base.output(features);
        INDArray started = LoRA.apply(base, head.loraInit(LoRAInit.LOFTQ).build()).output(features);
        INDArray quantized = LoRA.apply(base, head.loraInit(LoRAInit.KAIMING_UNIFORM).build()).output(features);

        assertThat(started.distance2(original)).isLessThan(0.9 * quantized.distance2(original));
    }

    @Test
    void aLayerThatCannotBeQuantisedIsNamedWithTheRightCure() {
        MultiLayerNetwork base = network(InputType.recurrent(5, 4), LayerChains.named(new LSTM.Builder().nOut(8).build(), "rnn"),
                new RnnOutputLayer.Builder().nOut(3).name("out").build());

        assertThatThrownBy(() -> LoRA.apply(base, config(Quantization.NF4).build())).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("\"rnn\"").hasMessageContaining("LSTM").hasMessageContaining("exclude(\"rnn\")");
    }
}
