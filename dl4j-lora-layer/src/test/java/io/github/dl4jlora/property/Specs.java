package io.github.dl4jlora.property;

import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Scaling;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.Tuple;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;

import java.util.List;

/** Random networks. What comes first in an enumeration, or is rare here, is what failing ones shrink away from. */
final class Specs {

    private static final int DEEPEST = 5;

    private Specs() {
    }

    static Arbitrary<NetworkSpec> networks() {
        return Combinators.combine(structures(), settings(), data(), Arbitraries.of(Path.class),
                        Arbitraries.longs().between(1, 1000))
                .as((structure, settings, data, path, seed) -> new NetworkSpec(structure.graph, structure.input, structure.layers,
                        structure.head, structure.headRole, settings, data.examples, data.masked, data.workspaces, data.type,
                        data.adam, data.scheduled, path, seed));
    }

    private record Structure(boolean graph, Input input, List<LayerSpec> layers, Head head, Role headRole) {
    }

    private record Data(int examples, boolean masked, boolean workspaces, DataType type, boolean adam, boolean scheduled) {
    }

    private static Arbitrary<Structure> structures() {
        Arbitrary<Input> inputs = Arbitraries.frequency(Tuple.of(3, Input.FLAT), Tuple.of(5, Input.SEQUENCE),
                Tuple.of(1, Input.SEQUENCE_CHANNELS_LAST), Tuple.of(3, Input.IMAGE), Tuple.of(1, Input.IMAGE_CHANNELS_LAST),
                Tuple.of(2, Input.VOLUME), Tuple.of(1, Input.VOLUME_CHANNELS_LAST),
                Tuple.of(1, Input.WORD), Tuple.of(1, Input.WORD_SEQUENCE));
        return inputs.flatMap(input -> Combinators.combine(Arbitraries.of(false, true),
                        layer(input).list().ofMinSize(0).ofMaxSize(DEEPEST), head(input), roles())
                .as((graph, layers, head, role) -> new Structure(graph, input, layers, head, role)));
    }

    private static Arbitrary<LayerSpec> layer(Input input) {
        return Combinators.combine(Arbitraries.of(Kind.on(input)), roles(), Arbitraries.integers().between(0, Form.LARGEST),
                        Arbitraries.of(Activation.IDENTITY, Activation.TANH, Activation.RELU, Activation.SOFTPLUS),
                        wraps(input.signal), rarely(), joins())
                .as(LayerSpec::new);
    }

    private static Arbitrary<List<Wrap>> wraps(Signal signal) {
        Arbitrary<Wrap> freezing = Arbitraries.of(Wrap.FROZEN, Wrap.FROZEN_WITH_BACKPROP);
        Arbitrary<Wrap> any = signal == Signal.SEQUENCE ? Arbitraries.of(Wrap.class) : freezing;
        return Arbitraries.frequencyOf(Tuple.of(signal == Signal.SEQUENCE ? 3 : 8, Arbitraries.just(List.of())),
                Tuple.of(1, any.list().ofMinSize(1).ofMaxSize(2)));
    }

    private static Arbitrary<Join> joins() {
        return Arbitraries.frequency(Tuple.of(3, Join.ALONE), Tuple.of(1, Join.ADD_INPUT), Tuple.of(1, Join.TWIN_ADD),
                Tuple.of(1, Join.TWIN_MERGE), Tuple.of(1, Join.ATTENTION), Tuple.of(1, Join.SCALED));
    }

    private static Arbitrary<Role> roles() {
        return Arbitraries.frequency(Tuple.of(3, Role.FROZEN), Tuple.of(3, Role.ADAPTED), Tuple.of(1, Role.TRAINED));
    }

    private static Arbitrary<Head> head(Input input) {
        return switch (input) {
            case SEQUENCE, WORD_SEQUENCE -> Arbitraries.frequencyOf(Tuple.of(2, Arbitraries.of(Head.class)),
                    Tuple.of(1, Arbitraries.of(Head.RNN_OUTPUT, Head.RNN_OUTPUT_SIGMOID, Head.RNN_LOSS)));
            // DL4J pools them over the wrong dimension.
            case SEQUENCE_CHANNELS_LAST -> Arbitraries.of(Head.RNN_OUTPUT, Head.RNN_OUTPUT_SIGMOID, Head.RNN_LOSS);
            default -> Arbitraries.of(Head.OUTPUT, Head.OUTPUT_SOFTMAX, Head.CENTER_LOSS, Head.LOSS);
        };
    }

    private static Arbitrary<Settings> settings() {
        Arbitrary<Settings> shared = Combinators.combine(
                        Arbitraries.frequency(Tuple.of(5, Settings.Which.PLAIN), Tuple.of(1, Settings.Which.DORA),
                                Tuple.of(1, Settings.Which.FROZEN_A)),
                        Arbitraries.frequency(Tuple.of(6, LoRAInit.KAIMING_UNIFORM), Tuple.of(1, LoRAInit.KAIMING_UNIFORM_RANK),
                                Tuple.of(1, LoRAInit.GAUSSIAN), Tuple.of(1, LoRAInit.ORTHOGONAL), Tuple.of(1, LoRAInit.PISSA),
                                Tuple.of(1, LoRAInit.OLORA), Tuple.of(1, LoRAInit.LOFTQ), Tuple.of(1, LoRAInit.EVA),
                                Tuple.of(1, LoRAInit.LORA_GA)),
                        Arbitraries.of(0, 2),
                        Arbitraries.frequency(Tuple.of(4, BiasTraining.NONE), Tuple.of(1, BiasTraining.LORA_ONLY),
                                Tuple.of(1, BiasTraining.ALL)),
                        rarely(), Arbitraries.frequency(Tuple.of(4, 1.0), Tuple.of(1, 4.0)), Arbitraries.of(Scaling.class),
                        Arbitraries.of(1, 2, 3))
                .as((variant, init, iterations, bias, dropout, ratio, scaling, rank) -> new Settings(variant, init, iterations,
                        bias, dropout, ratio, scaling, rank, Engine.FUSED, Settings.Place.SHARED, false));
        Arbitrary<Engine> engines = Arbitraries.frequency(Tuple.of(8, Engine.FUSED), Tuple.of(1, Engine.SAMEDIFF),
                Tuple.of(2, Engine.EFFECTIVE_WEIGHTS));
        Arbitrary<Settings.Place> places = Arbitraries.frequency(Tuple.of(4, Settings.Place.SHARED),
                Tuple.of(1, Settings.Place.COPIED), Tuple.of(2, Settings.Place.EMBEDDED), Tuple.of(1, Settings.Place.INT8),
                Tuple.of(2, Settings.Place.NF4), Tuple.of(3, Settings.Place.MAPPED), Tuple.of(1, Settings.Place.MAPPED_INT8),
                Tuple.of(1, Settings.Place.MAPPED_NF4), Tuple.of(2, Settings.Place.BF16),
                Tuple.of(1, Settings.Place.MAPPED_BF16), Tuple.of(2, Settings.Place.PACKED),
                Tuple.of(1, Settings.Place.PACKED_BF16), Tuple.of(1, Settings.Place.PACKED_INT8),
                Tuple.of(1, Settings.Place.PACKED_MAPPED));
        return Combinators.combine(shared, engines, places, rarely()).as((settings, engine, place, everywhere) ->
                (everywhere ? settings.everywhereAsked() : settings).by(engine).at(place));
    }

    private static Arbitrary<Data> data() {
        return Combinators.combine(Arbitraries.of(1, 2, 3), Arbitraries.of(false, true), Arbitraries.of(false, true),
                        Arbitraries.frequency(Tuple.of(9, DataType.DOUBLE), Tuple.of(3, DataType.FLOAT),
                                Tuple.of(1, DataType.HALF)),
                        Arbitraries.of(false, true), rarely())
                .as(Data::new);
    }

    private static Arbitrary<Boolean> rarely() {
        return Arbitraries.frequency(Tuple.of(9, false), Tuple.of(1, true));
    }
}
